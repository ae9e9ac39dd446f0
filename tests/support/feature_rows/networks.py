"""Networks of the feature table, and the same networks with two named inputs."""

import torch
from torch import nn

import kerastorch as kt


class Net(nn.Module):
    """A classifier with a normalization; every instance has the same initial weights."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.norm, self.last = nn.Linear(6, 8), nn.LayerNorm(8), nn.Linear(8, 3)

    def hidden(self, x):
        return torch.tanh(self.norm(self.first(x)))

    def forward(self, x):
        return self.last(self.hidden(x))


class TwoHeads(Net):
    """A class and a number, from the same hidden units."""

    def __init__(self):
        super().__init__()
        self.value = nn.Linear(8, 1)

    def forward(self, x):
        hidden = self.hidden(x)
        return {"label": self.last(hidden), "value": self.value(hidden)}


class Charging(kt.layers.Layer):
    """Adds a loss that depends on its input."""

    def forward(self, x):
        self.add_loss(0.01 * x.square().sum() / x.shape[0])
        return x


class Charged(Net):
    """The loss of the layer `Charging` is added."""

    def __init__(self):
        super().__init__()
        self.charging = Charging()

    def hidden(self, x):
        return self.charging(super().hidden(x))


def with_named_inputs(kind):
    """Return a class of networks with the arguments `left` and `right` in place of `x`."""

    def forward(self, left, right):
        return kind.forward(self, torch.cat([left, right], 1))

    return type(kind.__name__, (kind,), {"forward": forward})
