"""The models of a case: in plain torch, and as kerastorch is given them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

import kerastorch as kt
from fuzz.case import Case, Output
from fuzz.data import FEATURES, IMAGE, LENGTH, WORDS

HIDDEN = 5


class MeanOverWords(nn.Module):
    """`(batch, words, features)` -> `(batch, features)`."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(1)


class Net(nn.Module):
    """A body and a head for each output."""

    def __init__(self, case: Case) -> None:
        super().__init__()
        self.case = case
        self.body = nn.Sequential(*body(case))
        self.heads = nn.ModuleList([head(case, output) for output in case.outputs])

    def forward(self, x: Tensor) -> Any:
        hidden = self.body(x)
        pairs = zip(self.heads, self.case.outputs, strict=True)
        outputs = tuple(finished(output, one(hidden)) for one, output in pairs)
        if len(outputs) == 1:
            return outputs[0]
        return dict(zip(self.case.names, outputs, strict=True)) if self.case.structure == "dict" else outputs


def body(case: Case) -> list[nn.Module]:
    """What all outputs share."""
    if case.body == "embedding":
        return [nn.Embedding(WORDS, HIDDEN), MeanOverWords()]
    if case.body == "image":
        return [nn.Conv2d(IMAGE[0], HIDDEN, 3, padding=1), nn.Tanh()]
    norm = [nn.BatchNorm1d(HIDDEN)] if case.body == "norm" else []
    return [nn.Linear(FEATURES, HIDDEN), *norm, nn.Tanh()]


def head(case: Case, output: Output) -> nn.Module:
    """The last layer of an output, without its activation."""
    return nn.Conv2d(HIDDEN, output.width, 1) if case.body == "image" else nn.Linear(HIDDEN, output.width)


def finished(output: Output, scores: Tensor) -> Tensor:
    """The activation at the end, and the shape."""
    function = {"sigmoid": torch.sigmoid, "linear": lambda z: z}.get(output.end)
    if function is None:
        function = {"softmax": torch.softmax, "log_softmax": torch.log_softmax}[output.end]
        return function(scores, 1)
    scores = function(scores)
    return scores.squeeze(1) if output.flat else scores


def plain(case: Case) -> Net:
    """The model in plain torch; the same weights each time."""
    torch.manual_seed(case.seed)
    return Net(case).to(getattr(torch, case.precision))


def model(case: Case) -> kt.Model:
    """The model as kerastorch is given it, with the weights of the plain one."""
    net = plain(case)
    if case.made == "module":
        return kt.Model(net)
    (output,) = case.outputs if case.made != "functional" else case.outputs[:1]
    if case.made == "chain":
        return kt.Model(nn.Sequential(*net.body, *net.heads, *end_modules(output)))
    made = _layers(case) if case.made == "layers" else _functional(case)
    made.to(getattr(torch, case.precision))
    with torch.no_grad():
        for weight, own in zip(made.parameters(), net.parameters(), strict=True):
            weight.copy_(own)
    return made


def end_modules(output: Output) -> list[nn.Module]:
    """The activation at the end of a chain, and the shape."""
    ends = {"sigmoid": [nn.Sigmoid()], "softmax": [nn.Softmax(1)], "log_softmax": [nn.LogSoftmax(1)]}
    return [*ends.get(output.end, []), *([nn.Flatten(0)] if output.flat else [])]


def _body_layers(case: Case) -> list[Any]:
    layers = kt.layers
    if case.body == "embedding":
        return [layers.Embedding(WORDS, HIDDEN), layers.GlobalAveragePooling1D()]
    if case.body == "image":
        return [layers.Conv2D(HIDDEN, 3, padding="same", activation="tanh")]
    return [layers.Dense(HIDDEN, activation="tanh")]


def _head_layer(case: Case, output: Output, name: str | None) -> Any:
    end = None if output.end == "linear" else output.end
    if case.body == "image":
        return kt.layers.Conv2D(output.width, 1, activation=end, name=name)
    return kt.layers.Dense(output.width, activation=end, name=name)


def _input(case: Case) -> Any:
    if case.body == "embedding":
        return kt.Input(shape=(LENGTH,))
    return kt.Input(shape=IMAGE if case.body == "image" else (FEATURES,))


def _layers(case: Case) -> kt.Model:
    return kt.Sequential([_input(case), *_body_layers(case), _head_layer(case, case.outputs[0], None)])


def _functional(case: Case) -> kt.Model:
    start = hidden = _input(case)
    for layer in _body_layers(case):
        hidden = layer(hidden)
    several = len(case.outputs) > 1
    pairs = zip(case.names, case.outputs, strict=True)
    ends = {name: _head_layer(case, output, name if several else None)(hidden) for name, output in pairs}
    if not several:
        return kt.Model(start, ends[""])
    return kt.Model(start, ends if case.structure == "dict" else list(ends.values()))
