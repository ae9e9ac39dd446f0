"""Modules that torch has changed before they are trained: pruned, parametrized, compiled, or in another dtype."""

import warnings

import pytest
import torch
from support.foreign_classifier import ClassifierCase, perceptron
from torch import nn
from torch.nn.utils import parametrizations, prune

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
