"""What `repr` shows of losses, metrics, optimizers, initializers, regularizers and constraints."""

import inspect
import re
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from kerastorch import constraints, initializers, losses, metrics, optimizers, regularizers
from kerastorch.core.representation import represent
from kerastorch.losses import Loss

NAMESPACE = {
    name: thing
    for room in (constraints, initializers, losses, optimizers, regularizers)
    for name, thing in vars(room).items()
    if inspect.isclass(thing)
}


@pytest.mark.parametrize(
    "text",
    [
        "Huber(delta=0.5)", "MeanSquaredError()", "MeanSquaredError(reduction='sum')", "MeanSquaredError(name='mine')",
        "BinaryCrossentropy(from_logits=True)", "CategoricalCrossentropy(label_smoothing=0.1, axis=1)",
        "SparseCategoricalCrossentropy(ignore_class=0)", "CosineSimilarity(axis=1)", "KLDivergence()",
        "Adam(learning_rate=0.01, clipnorm=1.0)", "Adam(learning_rate=0.001)",
        "AdamW(learning_rate=0.001, weight_decay=0.1)", "SGD(learning_rate=0.1, momentum=0.9, nesterov=True)",
        "RMSprop(learning_rate=0.001, name='mine')",
        "Zeros()", "Constant(value=2.0)", "RandomNormal(stddev=0.1, seed=1)", "GlorotUniform()", "HeNormal(seed=3)",
        "VarianceScaling(scale=2.0, mode='fan_out')", "Orthogonal(gain=2.0)", "Identity()",
        "L1(l1=0.01)", "L2(l2=0.5)", "L1L2(l1=0.0, l2=0.5)", "OrthogonalRegularizer(factor=0.1, mode='columns')",
        "NonNeg()", "MaxNorm(max_value=3.0)", "MaxNorm(dim=(1, 2))", "UnitNorm(dim=(1,))", "MinMaxNorm(rate=0.5)",
    ],
)  # fmt: skip
def test_a_repr_shows_what_differs_from_the_defaults_and_makes_the_object_again(text):
    assert repr(eval(text, NAMESPACE)) == text


def _error(y_true, y_pred):
    return (y_true - y_pred).square()


class _Weighted(Loss):
    def __init__(self, weight, **kwargs):
        super().__init__(**kwargs)
        self.weight = weight

    def call(self, y_true, y_pred):
        return self.weight * (y_true - y_pred).abs()


@pytest.mark.parametrize(
    ("thing", "text"),
    [
        (losses.get(_error), "FunctionLoss(function=_error, name='_error')"),
        (losses.get("cross_entropy"), "TorchLoss(function=CrossEntropyLoss(), name='cross_entropy', ignores=False)"),
        (_Weighted(2.0), "_Weighted(weight=2.0)"),
        (_Weighted(torch.ones(2), reduction="sum"), "_Weighted(reduction='sum', weight=tensor([1.0, 1.0]))"),
        (_Weighted(torch.ones(17)), "_Weighted(weight=tensor(shape=(17,)))"),
        (_Weighted([_error, torch.relu]), "_Weighted(weight=[_error, relu])"),
        (_Weighted(partial(_error, y_pred=1)), "_Weighted(weight=partial(_error, y_pred=1))"),
        (_Weighted(nn.Sequential(nn.ReLU())), "_Weighted(weight=Sequential(...))"),
        (_Weighted(object()), "_Weighted(weight=object(...))"),
        (metrics.get("r2"), "MetricSpec(name='r2', higher_is_better=True)"),
        (metrics.get(_error), "MetricSpec(name='_error', input_format='raw')"),
    ],
)
def test_functions_tensors_and_objects_are_shown_without_addresses(thing, text):
    assert repr(thing) == text


def test_no_repr_shows_an_address():
    names = [name for name in losses.__all__ if name[0].isupper() and name != "Loss"]
    shown = [repr(getattr(losses, name)()) for name in names]
    shown += [repr(losses.get(one)) for one in (F.mse_loss, nn.BCELoss(), lambda output, target: 0, _Weighted(_error))]
    shown += [repr(metrics.get(one)) for one in (*metrics.NAMES, _error, lambda output, target: 0)]
    others = ("ExceptBiasAndNorm", "LossScaleOptimizer", "Optimizer", "Torch", "get", "layerwise_rates", "schedules")
    shown += [repr(getattr(optimizers, name)()) for name in optimizers.__all__ if name not in others]
    makers = (torch.optim.SGD, lambda params: 0, partial(torch.optim.SGD))
    shown += [repr(optimizers.Torch(one, clipnorm=1.0)) for one in makers]
    shown += [repr(optimizers.Torch(torch.optim.SGD(nn.Linear(2, 1).parameters(), lr=0.1)))]
    shown += [repr(optimizers.LossScaleOptimizer(optimizers.SGD())), repr(optimizers.ExceptBiasAndNorm(0.1))]
    assert [text for text in shown if re.search("0x|object at", text)] == []


def test_an_argument_without_an_attribute_is_left_out():
    class Scale:
        def __init__(self, factor, offset=1):
            self.offset = offset

    assert represent(Scale(3, 2)) == "Scale(offset=2)"
