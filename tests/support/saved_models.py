"""Save a model, load it, and compare the two."""

import warnings

import numpy as np
import torch
from torch.utils import _pytree as pytree

import kerastorch as kt

X = np.random.default_rng(0).normal(size=(40, 4)).astype("float32")
Y = X[:, :1] ** 2


def saved(model, path, **given):
    """Saved without a warning, and loaded."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.save(path)
        return kt.load_model(path, **given)


def same_outputs(one, other, x=X):
    found, expected = (pytree.tree_leaves(model.predict(x, verbose=0)) for model in (one, other))
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert np.array_equal(a, b)


def same_state(one, other):
    mine, theirs = one.state_dict(), other.state_dict()
    assert list(mine) == list(theirs)
    for name, value in mine.items():
        assert value.dtype == theirs[name].dtype
        assert torch.equal(value, theirs[name]), name


def go_on(model, epochs=2):
    kt.utils.set_random_seed(7)
    return model.fit(X, Y, epochs=epochs, batch_size=8, verbose=0).history
