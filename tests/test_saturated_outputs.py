"""Losses of outputs at 0 and 1 are computed from logits in training, in its validation and in evaluation alike."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import kerastorch as kt
from kerastorch import layers

X = torch.randn(24, 3, generator=torch.Generator().manual_seed(0)) * 300
YES = (torch.arange(24) % 2).float()[:, None]
CLASSES = torch.arange(24) % 4


def linear(outputs):
    torch.manual_seed(1)
    return nn.Linear(3, outputs)


def with_weights(model, module):
    if isinstance(model, kt.Sequential):
        model.build((None, 3))
    with torch.no_grad():
        for mine, theirs in zip(model.parameters(), module.parameters(), strict=True):
            mine.copy_(theirs)
    return model


def functional(activation, outputs):
    x = kt.Input((3,))
    return kt.Model(x, layers.Activation(activation)(layers.Dense(outputs)(x)))


ENDS = {
    "dense": lambda name, n: kt.Sequential([layers.Dense(n, activation=name)]),
    "layer": lambda name, n: kt.Sequential([layers.Dense(n), layers.Activation(name)]),
    "functional": functional,
    "module": lambda name, n: kt.Model(
        nn.Sequential(nn.Linear(3, n), nn.Sigmoid() if name == "sigmoid" else nn.Softmax(-1))
    ),
    "module of a layer": lambda name, n: kt.Sequential(
        [layers.Dense(n, activation=nn.Sigmoid() if name == "sigmoid" else nn.Softmax(-1))]
    ),
}


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("end", list(ENDS))
@pytest.mark.parametrize(
    ("activation", "outputs", "loss", "y", "expected"),
    [
        ("sigmoid", 1, "binary_crossentropy", YES, lambda z: F.binary_cross_entropy_with_logits(z, YES)),
        ("softmax", 4, "sparse_categorical_crossentropy", CLASSES, lambda z: F.cross_entropy(z, CLASSES)),
        ("softmax", 4, "categorical_crossentropy", F.one_hot(CLASSES).float(), lambda z: F.cross_entropy(z, CLASSES)),
    ],
    ids=["binary", "sparse", "categorical"],
)
def test_the_validation_of_a_fit_uses_logits_as_training_and_evaluation_do(
    end, activation, outputs, loss, y, expected, jit
):
    reference = linear(outputs)
    model = with_weights(ENDS[end](activation, outputs), reference)
    model.compile(kt.optimizers.SGD(1e-30), loss, jit_compile=jit)
    history = model.fit(X, y, epochs=2, validation_data=(X, y), verbose=0)
    value = float(expected(reference(X)).detach())
    assert value > 17  # more than probabilities that are clipped at 1e-7 can give
    np.testing.assert_allclose(history["loss"], value, rtol=1e-5)
    np.testing.assert_allclose(history["val_loss"], value, rtol=1e-5)
    np.testing.assert_allclose(model.evaluate(X, y, verbose=0), value, rtol=1e-5)


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", None])
@pytest.mark.parametrize("loss", [kt.losses.BinaryCrossentropy, kt.losses.BinaryFocalCrossentropy])
def test_the_binary_loss_of_nan_is_nan_and_that_of_numbers_is_as_before(loss, reduction):
    p = torch.tensor([[0.2], [float("nan")], [1.0]], requires_grad=True)
    values = loss(reduction=reduction)(torch.tensor([[0.0], [1.0], [1.0]]), p)
    assert torch.isnan(values.sum())
    finite = torch.tensor([[0.2], [1.0]], requires_grad=True)
    kt.losses.BinaryCrossentropy()(torch.tensor([[0.0], [1.0]]), finite).backward()
    clipped = torch.tensor([[0.2], [1.0]], requires_grad=True)
    F.binary_cross_entropy(clipped.clamp(1e-7, 1 - 1e-7), torch.tensor([[0.0], [1.0]])).backward()
    assert torch.equal(finite.grad, clipped.grad)


def test_a_fit_that_diverges_logs_nan_and_continues():
    model = with_weights(kt.Sequential([layers.Dense(1, activation="sigmoid")]), linear(1))
    model.compile(kt.optimizers.SGD(1e38), "binary_crossentropy")
    with pytest.warns(UserWarning, match="the loss is|loss"):
        history = model.fit(X, YES, epochs=3, validation_data=(X, YES), verbose=0)
    assert np.isnan(history["val_loss"][-1])
