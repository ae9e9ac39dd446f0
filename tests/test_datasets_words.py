"""Reviews and newswires: their order, and the options that choose sequences and words, beside another computation."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.dataset_files import npz, ragged

import kerastorch as kt

RNG = np.random.default_rng(11)
WORDS = [RNG.integers(1, 40, length).tolist() for length in RNG.integers(1, 12, 30)]
WORDS[29] = [45]  # the largest number is one of the test set of imdb
LABELS = np.arange(30)
DEFAULTS = {
    "num_words": None, "skip_top": 0, "maxlen": None, "seed": 113, "start_char": 1, "oov_char": 2, "index_from": 3,
}  # fmt: skip
OPTIONS = [
    {},
    {"num_words": 20},
    {"num_words": 20, "skip_top": 6},
    {"skip_top": 3},
    {"start_char": None},
    {"start_char": None, "index_from": 0},
    {"start_char": 0, "index_from": 5, "num_words": 30},
    {"oov_char": None, "num_words": 15, "skip_top": 5},
    {"oov_char": 0, "num_words": 15},
    {"maxlen": 7},
    {"maxlen": 7, "start_char": None},
    {"maxlen": 5, "num_words": 12, "skip_top": 4, "oov_char": None, "seed": 7},
    {"seed": 0},
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("words")
    train, test = slice(None, 18), slice(18, None)
    (made / "imdb.npz").write_bytes(
        npz(x_train=ragged(WORDS[train]), y_train=LABELS[train], x_test=ragged(WORDS[test]), y_test=LABELS[test])
    )
    (made / "reuters.npz").write_bytes(npz(x=ragged(WORDS), y=LABELS))
    return made


def table(rows):
    """Sequences as rows of an array, with NaN behind their ends."""
    padded = np.full((len(rows), 1 + max(map(len, WORDS))), np.nan)
    for place, row in enumerate(rows):
        padded[place, : len(row)] = row
    return padded


def expected(rows, chosen, largest=None):
    """Sequences and labels of these rows of WORDS, computed on a table: the options as array operations."""
    grid = table([WORDS[row] for row in rows]) + chosen["index_from"]
    if chosen["start_char"] is not None:
        grid = np.c_[np.full(len(rows), float(chosen["start_char"])), grid[:, :-1]]
    lengths = (~np.isnan(grid)).sum(1)
    stays = lengths < (np.inf if chosen["maxlen"] is None else chosen["maxlen"])
    grid, rows = grid[stays], np.asarray(rows)[stays]
    limit = np.nanmax(grid) if largest is None else largest
    limit = limit if chosen["num_words"] is None else chosen["num_words"]
    outside = (grid < chosen["skip_top"]) | (grid >= limit)
    grid[outside] = np.nan if chosen["oov_char"] is None else chosen["oov_char"]
    return [row[~np.isnan(row)].astype(int).tolist() for row in grid], LABELS[rows], grid


def largest_of(rows, chosen):
    return np.nanmax(expected(rows, chosen | {"num_words": 10**6, "skip_top": 0, "oov_char": -1})[2])


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_imdb_is_what_the_options_say(folder, options):
    chosen = DEFAULTS | options
    generator = np.random.RandomState(chosen["seed"])
    train, test = generator.permutation(18), 18 + generator.permutation(12)  # one generator, training rows first
    largest = max(largest_of(train, chosen), largest_of(test, chosen))
    parts = kt.datasets.imdb.load_data(folder / "imdb.npz", **options)
    for (x, y), rows in zip(parts, (train, test), strict=True):
        sequences, labels, _ = expected(rows, chosen, largest)
        assert x.tolist() == sequences
        assert y.tolist() == labels.tolist()
        assert (x.dtype, x.shape, y.dtype) == (object, (len(sequences),), np.int64)


@pytest.mark.parametrize("test_split", [0.2, 0.35, 0])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_reuters_is_what_the_options_say(folder, options, test_split):
    chosen = DEFAULTS | options
    sequences, labels, _ = expected(np.random.RandomState(chosen["seed"]).permutation(30), chosen)
    (x_train, y_train), (x_test, y_test) = kt.datasets.reuters.load_data(
        folder / "reuters.npz", test_split=test_split, **options
    )
    assert x_train.tolist() + x_test.tolist() == sequences
    assert y_train.tolist() + y_test.tolist() == labels.tolist()
    assert len(x_train) == len(y_train) == int(len(sequences) * (1 - test_split))
    assert x_train.dtype == x_test.dtype == object


def test_the_largest_number_is_replaced_when_no_number_of_words_is_given(folder):
    parts = kt.datasets.imdb.load_data(folder / "imdb.npz")
    numbers = set(itertools.chain.from_iterable([*parts[0][0], *parts[1][0]]))
    words = {word + 3 for word in itertools.chain.from_iterable(WORDS)}
    assert numbers == words - {max(words)} | {1, 2}


def test_without_a_seed_orders_differ(folder):
    orders = {tuple(kt.datasets.imdb.load_data(folder / "imdb.npz", seed=None)[0][1]) for _ in range(5)}
    assert len(orders) > 1  # 5 equal orders of 18 rows: 1 in 18!^4


def test_numpys_random_state_is_not_changed(folder):
    np.random.seed(4)
    kt.datasets.imdb.load_data(folder / "imdb.npz")
    assert np.random.randint(2**31) == np.random.RandomState(4).randint(2**31)


def test_sequences_of_one_length_are_still_an_array_of_lists(tmp_path):
    (tmp_path / "a.npz").write_bytes(npz(x=ragged([[1, 2], [3, 4]]), y=np.array([0, 1])))
    (x_train, _), (x_test, _) = kt.datasets.reuters.load_data(tmp_path / "a.npz", test_split=0.5)
    assert x_train.shape == x_test.shape == (1,)
    assert isinstance(x_train[0], list)


def test_empty_sequences_are_allowed(tmp_path):
    (tmp_path / "a.npz").write_bytes(npz(x=ragged([[], [3]]), y=np.array([0, 1])))
    (x_train, _), _ = kt.datasets.reuters.load_data(tmp_path / "a.npz", test_split=0, start_char=None, num_words=9)
    assert sorted(x_train.tolist()) == [[], [6]]


def test_maxlen_that_leaves_nothing_is_an_error(folder):
    for room in (kt.datasets.imdb, kt.datasets.reuters):
        name = f"{room.__name__.rpartition('.')[2]}.npz"
        with pytest.raises(ValueError, match=r"No sequence is shorter than maxlen=1\. Increase maxlen"):
            room.load_data(folder / name, maxlen=1)


@pytest.mark.parametrize("room", [kt.datasets.imdb, kt.datasets.reuters], ids=["imdb", "reuters"])
@pytest.mark.parametrize(
    ("option", "words"),
    [
        ({"num_words": 0}, "num_words must be an integer >= 1, got 0"),
        ({"num_words": 1e4}, "num_words must be an integer >= 1, got 10000.0"),
        ({"maxlen": -1}, "maxlen must be an integer >= 1"),
        ({"skip_top": None}, "skip_top must be an integer >= 0, got None"),
        ({"start_char": "a"}, "start_char must be an integer >= 0, got 'a'"),
        ({"oov_char": -2}, "oov_char must be an integer >= 0, got -2"),
        ({"index_from": -1}, "index_from must be an integer >= 0"),
        ({"seed": -5}, "Seed must be between 0"),
    ],
    ids=str,
)
def test_wrong_options_are_refused_before_a_file_is_searched(room, option, words, tmp_path):
    with pytest.raises(ValueError, match=words):
        room.load_data(tmp_path / "gone.npz", **option)


@given(
    words=st.lists(st.lists(st.integers(0, 50), max_size=8), min_size=1, max_size=8),
    num_words=st.integers(1, 60),
    skip_top=st.integers(0, 60),
    index_from=st.integers(0, 9),
)
def test_no_number_outside_the_limits_stays(tmp_path_factory, words, num_words, skip_top, index_from):
    path = tmp_path_factory.mktemp("drawn") / "a.npz"
    path.write_bytes(npz(x=ragged(words), y=np.arange(len(words))))
    (x, y), _ = kt.datasets.reuters.load_data(
        path, num_words, skip_top, test_split=0, start_char=None, oov_char=99, index_from=index_from
    )
    for found, row in zip(x, y, strict=True):
        assert len(found) == len(words[row])
        for number, word in zip(found, words[row], strict=True):
            assert number == (word + index_from if skip_top <= word + index_from < num_words else 99)
