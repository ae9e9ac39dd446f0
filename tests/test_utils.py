"""Small helps: arrays made ready."""

import numpy as np
import pytest

from kerastorch.utils import pad_sequences, to_categorical


def test_to_categorical_has_a_one_in_the_place_of_the_class():
    y = np.array([[2], [0], [1]])
    assert np.array_equal(to_categorical(y), np.eye(3)[[2, 0, 1]])
    assert to_categorical(y, 5).shape == (3, 5)
    assert to_categorical(np.zeros((2, 4)), 3).shape == (2, 4, 3)
    assert to_categorical([], 3).shape == (0, 3)


@pytest.mark.parametrize(("x", "count"), [([0, 3], 3), ([-1], 3), ([0.5], None)])
def test_to_categorical_refuses_what_is_no_class(x, count):
    with pytest.raises(ValueError, match="whole numbers from 0"):
        to_categorical(x, count)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [[0, 0, 1], [2, 3, 4], [0, 0, 0]]),
        ({"padding": "post"}, [[1, 0, 0], [2, 3, 4], [0, 0, 0]]),
        ({"maxlen": 2}, [[0, 1], [3, 4], [0, 0]]),
        ({"maxlen": 2, "truncating": "post", "value": 9}, [[9, 1], [2, 3], [9, 9]]),
        ({"maxlen": 4, "padding": "post"}, [[1, 0, 0, 0], [2, 3, 4, 0], [0, 0, 0, 0]]),
    ],
)
def test_sequences_are_padded_and_cut_at_either_end(options, expected):
    found = pad_sequences([[1], [2, 3, 4], []], **options)
    assert found.tolist() == expected
    assert found.dtype == np.int32


def test_sequences_of_rows_are_padded_with_rows():
    found = pad_sequences([np.ones((1, 2)), np.ones((3, 2))], dtype="float32")
    assert found.shape == (2, 3, 2)
    assert found.sum() == 8


def test_pad_sequences_refuses_other_places_and_rows_that_do_not_fit():
    with pytest.raises(ValueError, match="padding"):
        pad_sequences([[1]], padding="after")
    with pytest.raises(ValueError, match="steps have the shape"):
        pad_sequences([np.ones((2, 2)), np.ones((2, 3))])


def test_texts_are_padded_with_texts():
    found = pad_sequences([["a"], ["b", "c"]], dtype=object, value="")
    assert found.tolist() == [["", "a"], ["b", "c"]]
    with pytest.raises(ValueError, match="pass dtype=object"):
        pad_sequences([["a"], ["b", "c"]], value="")


@pytest.mark.parametrize("sequences", [[1, 2], 5, "text", iter([[1]])])
def test_what_is_no_list_of_sequences_is_named(sequences):
    with pytest.raises(TypeError, match="sequences must be a list of sequences"):
        pad_sequences(sequences)
