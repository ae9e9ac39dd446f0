"""Vocabularies: learned, given, kept; of integers, strings and texts."""

import copy
import json
import math
from hashlib import blake2b

import numpy as np
import pytest
import torch
from support.optional import optional
from torch.utils.data import DataLoader

from kerastorch import Input
from kerastorch.core.serialization import use_codec
from kerastorch.layers import Hashing, IntegerLookup, StringLookup, TextVectorization

pd = optional("pandas")

WORDS = ["b", "a", "c", "b", "c", "b"]


def test_the_most_frequent_come_first_and_of_those_as_frequent_the_larger():
    strings, integers = StringLookup(), IntegerLookup()
    strings.adapt([*WORDS, "a"])
    integers.adapt([5, 2, 9, 9, 2, 11])
    assert strings.get_vocabulary() == ["[UNK]", "b", "c", "a"]
    assert integers.get_vocabulary() == [-1, 9, 2, 11, 5]
    assert integers.vocabulary_size() == 5


@pytest.mark.parametrize(
    "data",
    [
        np.array(WORDS),
        np.array(WORDS).reshape(2, 3),
        lambda: pd.Series(WORDS),
        tuple(WORDS),
        [["b", "a", "c"], ["b", "c", "b"]],
        [["b"], ["a", "c", "b", "c", "b"]],
        np.array([word.encode() for word in WORDS]),
    ],
)
def test_strings_come_in_any_form(data):
    layer = StringLookup()
    layer.adapt(data() if callable(data) else data)
    assert layer.get_vocabulary(include_special_tokens=False) == ["b", "c", "a"]


def test_loaders_and_generators_are_looked_at_piece_by_piece():
    loader = DataLoader([(word, 1) for word in WORDS], batch_size=2)
    layer, other = StringLookup(), StringLookup()
    layer.adapt(loader)
    other.adapt((WORDS[at : at + 2] for at in (0, 2, 4)), steps=2)
    assert layer.get_vocabulary() == ["[UNK]", "b", "c", "a"]
    assert other.get_vocabulary() == ["[UNK]", "b", "c", "a"]


def test_max_tokens_counts_the_special_ones():
    layer = StringLookup(3, mask_token="")
    layer.adapt(WORDS)
    assert layer.get_vocabulary() == ["", "[UNK]", "b"]


def test_special_tokens_in_the_data_are_not_learned():
    layer = StringLookup(mask_token="", output_mode="count")
    layer.adapt(["", "", "[UNK]", "x"])
    assert layer.get_vocabulary() == ["[UNK]", "x"]
    assert layer([["x", "", "x", "what"]]).tolist() == [[1, 2]]


def test_the_mask_is_index_0():
    layer = StringLookup(mask_token="-", vocabulary=["a"], num_oov_indices=2)
    index = layer([["-", "a", "what"]])
    assert index[0, :2].tolist() == [0, 3]
    assert index[0, 2] in (1, 2)
    assert index.dtype == torch.int64


def test_what_is_unknown_is_spread_over_its_indices_the_same_way_at_every_call():
    words = [f"w{i}" for i in range(1000)]
    layer, other = StringLookup(num_oov_indices=4, vocabulary=["a"]), StringLookup(num_oov_indices=4, vocabulary=["a"])
    assert torch.equal(layer(words), other(words))
    assert torch.bincount(layer(words)).min() > 180
    salted = StringLookup(num_oov_indices=4, vocabulary=["a"], salt=3)
    assert not torch.equal(salted(words), layer(words))


@pytest.mark.parametrize(("layer", "known"), [
    (StringLookup(num_oov_indices=0, vocabulary=["a"]), ["a"]),
    (IntegerLookup(num_oov_indices=0, vocabulary=[4]), torch.tensor([4])),
])  # fmt: skip
def test_without_indices_for_it_what_is_unknown_is_refused(layer, known):
    assert layer(known).tolist() == [0]
    with pytest.raises(ValueError, match="num_oov_indices=0 and knows only its vocabulary, got"):
        layer(["b"] if isinstance(layer, StringLookup) else torch.tensor([5]))


@pytest.mark.parametrize("mode", ["one_hot", "multi_hot", "count", "tf_idf"])
def test_strings_and_integers_are_encoded_alike(mode):
    documents = [[1, 2, 2], [3, 2, 1], [9, 9, 9]]
    names = [[f"{number}" for number in row] for row in documents]
    strings, integers = StringLookup(output_mode=mode), IntegerLookup(output_mode=mode)
    strings.adapt(names)
    integers.adapt(documents)
    x = [[1, 9, 5], [2, 2, 3]]
    assert torch.equal(strings([[f"{number}" for number in row] for row in x]), integers(torch.tensor(x)))


def test_tf_idf_is_counts_times_the_logarithm_of_1_and_documents_over_1_and_those_with_the_token():
    layer = StringLookup(output_mode="tf_idf", max_tokens=5, pad_to_max_tokens=True)
    layer.adapt([["a", "b"], ["a", "a"], ["a", "c"]])
    a, b = math.log(1 + 3 / 4), math.log(1 + 3 / 2)
    assert layer.get_vocabulary() == ["[UNK]", "a", "c", "b"]
    expected = [2 * (a + b + b) / 3, a, 0, 3 * b, 0]
    torch.testing.assert_close(layer([["a", "x", "y", "b", "b", "b"]]), torch.tensor([expected]))


def test_a_list_is_as_many_documents_and_a_batch_of_tokens_one():
    one, many = StringLookup(output_mode="tf_idf"), StringLookup(output_mode="tf_idf")
    one.adapt(iter([["a", "b"]]))
    many.adapt(["a", "b"])
    torch.testing.assert_close(one.idf_weights, torch.full((3,), math.log(1 + 1 / 2)))
    torch.testing.assert_close(many.idf_weights, torch.full((3,), math.log(1 + 2 / 2)))


def test_inverted_indices_are_tokens_again():
    there = StringLookup(mask_token="", vocabulary=["a", "bcd"])
    back = StringLookup(mask_token="", vocabulary=["a", "bcd"], invert=True)
    words = np.array([["a", "bcd"], ["", "[UNK]"]])
    np.testing.assert_array_equal(back(there(words)), words)
    assert back(torch.tensor([99, -1])).tolist() == ["[UNK]", "[UNK]"]


def test_inverted_integers_know_the_mask():
    back = IntegerLookup(mask_token=7, vocabulary=[40, 50], invert=True)
    assert back(torch.tensor([0, 1, 2, 3, 4])).tolist() == [7, -1, 40, 50, -1]


def test_a_vocabulary_may_come_with_its_special_tokens_or_without_or_from_a_file(tmp_path):
    (tmp_path / "words").write_text("a\nb\n", encoding="utf-8")
    (tmp_path / "numbers").write_text("12\n-3\n", encoding="utf-8")
    for given in (["a", "b"], ["", "[UNK]", "a", "b"], np.array(["a", "b"]), str(tmp_path / "words")):
        layer = StringLookup(mask_token="", vocabulary=given)
        assert layer.get_vocabulary() == ["", "[UNK]", "a", "b"]
    assert IntegerLookup(vocabulary=str(tmp_path / "numbers")).get_vocabulary() == [-1, 12, -3]
    assert StringLookup(vocabulary=tmp_path / "words").get_vocabulary() == ["[UNK]", "a", "b"]
    assert TextVectorization(vocabulary=tmp_path / "words").get_vocabulary() == ["", "[UNK]", "a", "b"]
    assert IntegerLookup(vocabulary=torch.tensor([4, 2])).get_vocabulary() == [-1, 4, 2]


def test_a_vocabulary_can_be_replaced():
    layer = IntegerLookup(output_mode="tf_idf")
    layer.set_vocabulary([3, 4], [1.0, 2.0])
    layer.set_vocabulary([-1, 5], [0.5, 4.0])
    assert layer(torch.tensor([[5, 5, 6]])).tolist() == [[0.5, 8.0]]


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: StringLookup()(["a"]), r"has not seen any data. Call adapt\(data\) first, give vocabulary="),
        (lambda: IntegerLookup()(torch.tensor([1])), "has not seen any data"),
        (lambda: TextVectorization()(["a"]), "TextVectorization has not seen any data"),
        (lambda: StringLookup(vocabulary=["a"]).adapt(["b"]), "was made with a vocabulary"),
        (lambda: StringLookup().adapt([]), "found no tokens"),
        (lambda: StringLookup().adapt("a word"), "adapt takes an array, a list, or an iterable"),
        (lambda: StringLookup(vocabulary=["a", "b", "a"]), r"more than once: \['a'\]"),
        (lambda: StringLookup(vocabulary=[]), "is empty"),
        (lambda: StringLookup(vocabulary=["a", 3]), "must be a string, got 3"),
        (lambda: IntegerLookup(vocabulary=["a"]), "must be an integer, got 'a'"),
        (lambda: StringLookup(mask_token="m", vocabulary=["a", "m"]), "has the special token 'm'"),
        (lambda: StringLookup(2, vocabulary=["a", "b"]), "max_tokens is 2, the vocabulary has 2 tokens and 1 special"),
        (lambda: StringLookup(1), "max_tokens must be an integer >= 2"),
        (lambda: StringLookup(pad_to_max_tokens=True), "needs max_tokens"),
        (lambda: StringLookup(invert=True, output_mode="count"), "invert=True needs output_mode='int'"),
        (lambda: StringLookup(output_mode="tfidf"), "Unknown output_mode 'tfidf'. Did you mean 'tf_idf'"),
        (lambda: StringLookup(vocabulary=["a"], idf_weights=[1.0]), "idf_weights are for output_mode='tf_idf'"),
        (lambda: StringLookup(vocabulary=["a"], output_mode="tf_idf"), "idf_weights go with output_mode='tf_idf'"),
        (
            lambda: StringLookup(vocabulary=["a"], idf_weights=[1.0, 2.0, 3.0], output_mode="tf_idf"),
            r"shape \(3,\), the vocabulary has 1 tokens",
        ),
        (lambda: StringLookup(salt="pepper"), "salt must be an integer"),
        (lambda: IntegerLookup(oov_method="md5"), "Unknown oov_method 'md5'"),
        (lambda: IntegerLookup(salt=3), "needs oov_method='farmhash'"),
        (lambda: IntegerLookup(vocabulary_dtype="string"), "vocabulary_dtype must be 'int64'"),
        (lambda: IntegerLookup(vocabulary=[1])(torch.tensor([1.0])), "takes a tensor of integers"),
        (lambda: IntegerLookup().adapt([1.5]), "takes integers"),
        (lambda: StringLookup(vocabulary=["a"])([1, 2]), "takes strings, got 1 of type int"),
        (lambda: StringLookup(vocabulary=["a"])([["a"], ["a", "b"]]), "Rows must be of the same length"),
        (
            lambda: StringLookup(vocabulary=["a"])(torch.zeros(2)),
            "takes strings, as lists or NumPy arrays, got a Tensor",
        ),
        (lambda: StringLookup(vocabulary=["a"])(Input((3,))), "takes strings, as lists or NumPy arrays"),
        (lambda: TextVectorization(vocabulary=["a"])(Input((1,))), "before it goes into the model"),
        (lambda: TextVectorization(standardize="upper"), "Unknown standardize 'upper'"),
        (lambda: TextVectorization(split="words"), "Unknown split 'words'"),
        (lambda: TextVectorization(ngrams=0), "ngrams must be an integer >= 1"),
        (lambda: TextVectorization(output_mode="count", output_sequence_length=3), "is for output_mode='int'"),
        (lambda: TextVectorization(ragged=True), "ragged must be False"),
        (lambda: TextVectorization(vocabulary=["a"])([["a", "b"]]), r"\(batch,\) or \(batch, 1\), got \(1, 2\)"),
        (lambda: TextVectorization(split=str.split).get_config(), "a function of your own, cannot be written down"),
    ],
)
def test_what_cannot_be_is_said(make, sentence):
    with pytest.raises((ValueError, TypeError, RuntimeError), match=sentence):
        make()


@pytest.mark.parametrize("layer", [StringLookup(vocabulary=["a"]), TextVectorization(vocabulary=["a"])])
def test_strings_do_not_compile_whole_and_the_error_says_what_to_do(layer):
    with pytest.raises(Exception, match="before it goes into the model"):
        torch.compile(layer, fullgraph=True, backend="aot_eager")(["a"])


# --- texts -----------------------------------------------------------------------------------------------------------


def test_texts_are_lowered_stripped_of_punctuation_split_and_padded():
    layer = TextVectorization()
    layer.adapt(["The cat, the cat!", "A dog's life."])
    assert layer.get_vocabulary() == ["", "[UNK]", "the", "cat", "life", "dogs", "a"]
    found = layer(["the  CAT?", "", "dogs bite a cat"])
    assert found.tolist() == [[2, 3, 0, 0], [0, 0, 0, 0], [5, 1, 6, 3]]
    assert torch.equal(layer([["the  CAT?"], [""], ["dogs bite a cat"]]), found)


def test_output_sequence_length_cuts_and_pads():
    layer = TextVectorization(output_sequence_length=3, vocabulary=["a", "b"])
    assert layer(["a b a b", "b"]).tolist() == [[2, 3, 2], [3, 0, 0]]


@pytest.mark.parametrize(
    ("options", "text", "tokens"),
    [
        ({"standardize": None}, "A b. A", ["A", "b."]),
        ({"standardize": "lower"}, "A É.", ["é.", "a"]),
        ({"standardize": "strip_punctuation"}, "A-b!", ["Ab"]),
        ({"standardize": np.char.upper}, "ab", ["AB"]),
        ({"split": "character"}, "aba ", ["a", "b", " "]),
        ({"split": lambda text: text.split("x")}, "axb", ["b", "a"]),
        ({"ngrams": 2}, "a b c", ["c", "b c", "b", "a b", "a"]),
        ({"ngrams": (3,)}, "a b c d", ["b c d", "a b c"]),
    ],
)
def test_how_a_text_becomes_tokens(options, text, tokens):
    layer = TextVectorization(**options)
    layer.adapt([text])
    assert layer.get_vocabulary(False) == tokens


def test_without_a_split_the_input_is_tokens():
    layer = TextVectorization(split=None, standardize=None, vocabulary=["new york", "paris"])
    assert layer([["new york", "paris"], ["paris", "rome"]]).tolist() == [[2, 3], [3, 1]]


def test_texts_as_vectors_count_no_padding():
    layer = TextVectorization(5, output_mode="count", pad_to_max_tokens=True, vocabulary=["a", "b"])
    assert layer(["a a b", "c"]).tolist() == [[0, 2, 1, 0, 0], [1, 0, 0, 0, 0]]
    assert layer.vocabulary_size() == 3
    assert layer.get_vocabulary() == ["[UNK]", "a", "b"]


def test_texts_come_from_loaders():
    layer = TextVectorization()
    layer.adapt(DataLoader([("a b", 0), ("b", 1)], batch_size=1))
    assert layer.get_vocabulary(False) == ["b", "a"]


def test_binary_is_another_name_of_multi_hot():
    texts = TextVectorization(output_mode="binary", vocabulary=["a", "b"])
    assert texts.output_mode == "multi_hot"
    assert texts(["b b c"]).tolist() == [[1, 0, 1]]
    assert StringLookup(vocabulary=["a", "b"], output_mode="binary")([["a", "a"]]).tolist() == [[0, 1, 0]]
    assert type(texts).from_config(texts.get_config()).output_mode == "multi_hot"


@pytest.mark.parametrize("salt", [None, 7, [133, 137]])
def test_unknown_tokens_get_the_index_of_the_hash_of_keras(salt):
    words = [
        "amber",
        "",
        "na\u00efve",
        "a word that is longer than sixty-four bytes, as words of other languages may well be",
    ]
    expected = 2 + Hashing(5, salt=salt)(words)
    layer = StringLookup(num_oov_indices=5, mask_token="-", vocabulary=["a"], salt=salt)
    assert torch.equal(layer(words), expected - 1)
    assert layer(["-", "a"]).tolist() == [0, 6]
    numbers = torch.tensor([[12, -3, 10**12], [4, 12, 7]])
    integers = IntegerLookup(num_oov_indices=5, vocabulary=[4], oov_method="farmhash", salt=salt)
    hashed = Hashing(5, salt=salt)(numbers)
    assert torch.equal(integers(numbers), torch.where(numbers == 4, 5, hashed))
    again = IntegerLookup.from_config(json.loads(json.dumps(integers.get_config())))
    assert torch.equal(again(numbers), integers(numbers))


def test_files_of_the_version_with_another_hash_keep_their_indices(tmp_path):
    words = [f"w{i}" for i in range(40)]
    layer = StringLookup(num_oov_indices=4, vocabulary=["a"], salt=3)
    old = [int.from_bytes(blake2b(w.encode(), digest_size=8, key=b"[3, 3]").digest(), "little") % 4 for w in words]
    config = layer.get_config()
    assert config.pop("oov_method") == "farmhash"
    with use_codec(_FileCodec()):
        from_file = StringLookup.from_config(config)
    assert from_file(words).tolist() == old
    assert "oov_method" not in from_file.get_config()  # and is read as an old one again
    assert copy.deepcopy(from_file)(words).tolist() == old
    with use_codec(_FileCodec()):
        new = StringLookup.from_config(layer.get_config())
    assert torch.equal(new(words), layer(words))
    assert layer(words).tolist() != old


class _FileCodec:
    """A codec as `load_model` uses it, which changes nothing."""

    initializes_weights = True

    def encode(self, value):
        return NotImplemented

    decode = encode


def test_a_single_text_gives_its_row():
    layer = TextVectorization(vocabulary=["a", "b"])
    assert layer("b a").tolist() == layer(["b a"])[0].tolist() == [3, 2]


@pytest.mark.parametrize("given", [[[1000], [3]], np.array([[1000], [3]]), np.array([[1000], [3]], "int32")])
def test_integer_lookup_reads_arrays_and_lists(given):
    assert IntegerLookup(vocabulary=[1000, 7])(given).tolist() == [[1], [0]]
