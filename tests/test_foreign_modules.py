"""Modules that torch has changed before they are trained: pruned, parametrized, compiled, or in another dtype."""

import warnings

import pytest
import torch
from support.foreign_case import ForeignCase, accuracy
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations, prune
from torch.utils.data import DataLoader, TensorDataset


def perceptron():
    return nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 3))


class ClassifierCase(ForeignCase):
    compile_args = {"loss": nn.CrossEntropyLoss(), "metrics": ["accuracy"]}
    dtype = torch.float32

    def optimizer(self, net):
        return torch.optim.Adam(net.parameters(), lr=0.01)

    def loader(self, shuffle):
        x = torch.randn(30, 6, generator=torch.Generator().manual_seed(0))
        y = (x[:, :3].sum(1) > 0).long() + (x[:, 3] > 1).long()
        return DataLoader(TensorDataset(x, y), 8, shuffle, generator=torch.Generator().manual_seed(1))

    def hand_loss(self, net, batch):
        return F.cross_entropy(self.hand_outputs(net, batch), batch[1])

    def hand_outputs(self, net, batch):
        return net(batch[0].to(self.dtype))

    def hand_scores(self, net, batches):
        return {"accuracy": accuracy([self.hand_outputs(net, one) for one in batches], [y for _, y in batches])}

    def export_call(self, batch):
        return (batch[0].to(self.dtype),), {}


# torch warns, when it exports a module whose weight is computed in a hook
ASSIGNED = pytest.mark.filterwarnings("ignore:The tensor attribute self.0.weight was assigned during export")


@ASSIGNED
class TestPruned(ClassifierCase):
    def make(self):
        net = perceptron()
        prune.l1_unstructured(net[0], "weight", 0.5)
        return net

    def test_pruned_weights_stay_zero(self):
        net, _, _ = self.fit()
        assert (net[0].weight == 0).sum() == 48


class TestParametrized(ClassifierCase):
    def make(self):
        net = perceptron()
        parametrizations.orthogonal(net[0])
        parametrizations.spectral_norm(net[4])
        return net


@ASSIGNED
class TestOldWeightNorm(ClassifierCase):
    def make(self):
        net = perceptron()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # torch has a newer one
            nn.utils.weight_norm(net[0])
        return net


class TestCompiledByTorch(ClassifierCase):
    def make(self):
        return torch.compile(perceptron(), backend="eager")


class TestBfloat16(ClassifierCase):
    dtype = torch.bfloat16

    def make(self):
        return perceptron().bfloat16()


class TestFloat64(ClassifierCase):
    dtype = torch.float64

    def make(self):
        return perceptron().double()
