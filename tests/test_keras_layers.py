"""Layers give the numbers of Keras 3, which `support/make_layer_values.py` has stored."""

import json
import pathlib

import pytest
import torch
from support.layer_cases import CASES

from kerastorch import layers

VALUES = json.loads((pathlib.Path(__file__).parent / "support/layer_values.json").read_text())


def _in_the_layout_of_torch(weight, shape):
    """A matrix `(in, out)`, maybe with a further axis of the heads, as `(out, in)`; a kernel as `(out, in, ...)`."""
    if len(shape) == 2:
        return weight.reshape(shape[::-1]).T
    return weight.movedim((-1, -2), (0, 1)) if len(shape) > 2 else weight.reshape(shape)


def test_each_case_has_values():
    assert set(VALUES) == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_a_layer_returns_what_that_of_keras_does(name):
    case, values = CASES[name], VALUES[name]
    layer = getattr(layers, case.layer)(**case.arguments)
    inputs = [torch.tensor(x) for x in values["inputs"]]
    masks = {argument: torch.tensor(mask) for argument, mask in values["masks"].items()}
    layer(*inputs, **masks)
    with torch.no_grad():
        for parameter, weight in zip([] if case.initial else layer.parameters(), values["weights"], strict=True):
            parameter.copy_(_in_the_layout_of_torch(torch.tensor(weight), parameter.shape))
    found = layer.train(case.training)(*inputs, **masks)
    found = list(found) if isinstance(found, tuple) else [found]
    for one, expected in zip(found, values["outputs"], strict=True):
        torch.testing.assert_close(one, torch.tensor(expected, dtype=one.dtype), rtol=1e-4, atol=case.tolerance)
