"""Layers give the numbers of Keras 3, which `support/make_layer_values.py` has stored."""

import json
import pathlib

import pytest
import torch
from support.layer_cases import CASES

from kerastorch import layers

VALUES = json.loads((pathlib.Path(__file__).parent / "support/layer_values.json").read_text())


def _in_the_layout_of_torch(kernel):
    """A kernel `(..., in, out)` as `(out, in, ...)`."""
    return kernel if kernel.ndim < 2 else kernel.movedim((-1, -2), (0, 1))


def test_each_case_has_values():
    assert set(VALUES) == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_a_layer_returns_what_that_of_keras_does(name):
    case, values = CASES[name], VALUES[name]
    layer = getattr(layers, case.layer)(**case.arguments)
    x = torch.tensor(values["input"])
    layer(x)
    parameters = list(layer.parameters())
    with torch.no_grad():
        for parameter, weight in zip(parameters, values["weights"], strict=True):
            parameter.copy_(_in_the_layout_of_torch(torch.tensor(weight)))
    found = layer.train(case.training)(x)
    found = list(found) if isinstance(found, tuple) else [found]
    for one, expected in zip(found, values["outputs"], strict=True):
        torch.testing.assert_close(one, torch.tensor(expected, dtype=one.dtype), rtol=1e-4, atol=1e-5)
