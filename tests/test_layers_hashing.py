"""Hashing and HashedCrossing.

The hash functions are compared with the published implementations: FarmHash by its Python binding (`cityhash` 0.4.10,
`farmhash.Fingerprint64`), SipHash by the vector of its paper. The bins are those that Keras' own tests expect.
"""

import copy
import json

import numpy as np
import pytest
import torch

import kerastorch as kt
from kerastorch.layers import HashedCrossing, Hashing
from kerastorch.layers.hash_functions import fingerprint64, siphash24

FARMHASH = {
    0: 11160318154034397263, 1: 13718060045003475796, 3: 10709908609026466970, 4: 9421527712639018304,
    7: 11736591675260184225, 8: 12491318377461660568, 16: 1080060857502750420, 17: 13526182118996909852,
    32: 1917831512995979081, 33: 16750416167695635022, 64: 17691551913807367243, 65: 14313328211205373374,
    128: 2037963038260878803, 129: 14883169112474847294, 200: 525935771297148851,
}  # fmt: skip
LETTERS = [["A"], ["B"], ["C"], ["D"], ["E"]]
NAMES = ["omar", "stringer", "marlo", "wire", "skywalker"]


@pytest.mark.parametrize("size", FARMHASH)
def test_the_fingerprint_is_that_of_farmhash(size):
    assert fingerprint64(bytes(number % 251 for number in range(size))) == FARMHASH[size]


def test_the_keyed_hash_is_that_of_the_paper():
    key = (0x0706050403020100, 0x0F0E0D0C0B0A0908)
    assert siphash24(bytes(range(15)), key) == 0xA129CA6149BE45E5


@pytest.mark.parametrize(
    ("arguments", "x", "expected"),
    [
        ({"num_bins": 3}, LETTERS, [[1], [0], [1], [1], [2]]),
        ({"num_bins": 3, "mask_value": ""}, [["A"], ["B"], [""], ["C"], ["D"]], [[1], [1], [0], [2], [2]]),
        ({"num_bins": 3, "salt": [133, 137]}, LETTERS, [[1], [2], [1], [0], [2]]),
        ({"num_bins": 3, "salt": 133}, LETTERS, [[0], [0], [2], [1], [0]]),
        ({"num_bins": 1}, LETTERS, [[0]] * 5),
        ({"num_bins": 2}, NAMES, [0, 0, 1, 0, 0]),
        ({"num_bins": 2}, np.array(NAMES), [0, 0, 1, 0, 0]),
        ({"num_bins": 2}, np.array(NAMES, dtype=object), [0, 0, 1, 0, 0]),
        ({"num_bins": 2}, np.array(NAMES, dtype=bytes), [0, 0, 1, 0, 0]),
        ({"num_bins": 3, "mask_value": "omar"}, NAMES, [0, 1, 2, 1, 1]),
        ({"num_bins": 2, "salt": [133, 137]}, NAMES, [0, 1, 0, 1, 0]),
        ({"num_bins": 2, "salt": [211, 137]}, NAMES, [1, 0, 1, 0, 1]),
        ({"num_bins": 3}, [[0], [1], [2], [3], [4]], [[1], [0], [1], [0], [2]]),
        ({"num_bins": 3}, torch.tensor([0, 1, 2, 3, 4]), [1, 0, 1, 0, 2]),
        ({"num_bins": 3}, torch.tensor([0.4, 1.0, 2.9]), [1, 0, 1]),
    ],
)
def test_the_bins_are_those_of_keras(arguments, x, expected):
    found = Hashing(**arguments)(x)
    assert found.dtype == torch.int64
    assert found.tolist() == expected


def test_crossings_are_those_of_keras():
    letters, numbers = ["A", "B", "A", "B", "A"], [101, 101, 101, 102, 102]
    assert HashedCrossing(5)((letters, numbers)).tolist() == [1, 4, 1, 1, 3]
    assert HashedCrossing(5)([np.array(letters), torch.tensor(numbers)]).tolist() == [1, 4, 1, 1, 3]
    assert HashedCrossing(10)(("A", 101)).tolist() == 1
    column = HashedCrossing(5)((np.array(letters)[:, None], np.array(numbers)[:, None]))
    assert column.tolist() == [[1], [4], [1], [1], [3]]
    one_hot = HashedCrossing(5, "one_hot")((letters, numbers))
    assert torch.equal(one_hot, torch.nn.functional.one_hot(column.flatten(), 5).float())


def test_the_order_of_the_features_counts_and_negative_integers_are_allowed():
    first, second = torch.arange(-50, 50), torch.arange(100) % 7
    one, other = HashedCrossing(1000)((first, second)), HashedCrossing(1000)((second, first))
    assert not torch.equal(one, other)
    assert one.min() >= 0
    assert one.unique().numel() > 80


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("one_hot", [[[0, 1, 0], [1, 0, 0]]]), ("multi_hot", [[1, 1, 0]]), ("count", [[1, 1, 0]])],
)
def test_vectors_are_those_of_category_encoding(mode, expected):
    found = Hashing(3, output_mode=mode)([["A", "B"]])
    assert found.tolist() == expected
    assert Hashing(3, output_mode=mode).double()([["A", "B"]]).dtype == torch.float64


def test_bins_are_used_evenly():
    counts = Hashing(10)([f"word {number}" for number in range(2000)]).bincount(minlength=10)
    assert counts.min() > 150
    assert counts.max() < 250


@pytest.mark.parametrize("layer", [Hashing(7, "", [1, 2], "count", name="bins"), HashedCrossing(7, "one_hot")])
def test_it_is_made_again_from_its_config_and_copied(layer):
    config = json.loads(json.dumps(layer.get_config()))
    again = type(layer).from_config(config)
    x = (["a", "b"], ["c", ""])
    assert again.get_config() == layer.get_config()
    assert torch.equal(again(x), layer(x))
    assert torch.equal(copy.deepcopy(layer)(x), layer(x))


def test_a_chain_with_an_embedding_is_saved_with_its_hash(tmp_path):
    model = kt.Sequential([Hashing(5, salt=3), kt.layers.Embedding(5, 2)])
    expected = model(["x", "y", "z"])
    model.save(tmp_path / "hash.kt")
    assert torch.equal(kt.load_model(tmp_path / "hash.kt")(["x", "y", "z"]), expected)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Hashing(0), "num_bins"),
        (lambda: Hashing(3, salt=[1, 2, 3]), "salt"),
        (lambda: Hashing(3, output_mode="tf_idf"), "output_mode"),
        (lambda: Hashing(3, sparse=True), "sparse"),
        (lambda: Hashing(3, mask_value=1.5), "mask_value"),
        (lambda: Hashing(3)([["a"], ["b", "c"]]), "rows of one length"),
        (lambda: Hashing(3)(["a", 1]), "all of one kind"),
        (lambda: Hashing(3)(kt.Input((1,), "int64")), "before it goes into the model"),
        (lambda: HashedCrossing(3)(["a"]), "at least two features"),
        (lambda: HashedCrossing(3)(torch.tensor([1])), "at least two features"),
        (lambda: HashedCrossing(3)((["a"], ["b", "c"])), "of one shape"),
        (lambda: HashedCrossing(3)((torch.zeros(2), torch.zeros(2))), "got floats"),
        (lambda: HashedCrossing(3, "count"), "output_mode"),
    ],
)
def test_what_cannot_be_hashed_is_an_error(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()
