"""Optimizers of pytorch-optimizer and schedulefree, beside loops by hand."""

import pytest
import torch
from support.foreign_classifier import ClassifierCase, perceptron
from torch import nn

po = pytest.importorskip("pytorch_optimizer")


class OptimizerCase(ClassifierCase):
    save_warning = "is not one of torch.optim"

    def make(self):
        return perceptron()


class TestLion(OptimizerCase):
    def optimizer(self, net):
        return po.Lion(net.parameters(), lr=1e-3)


class TestAdan(OptimizerCase):
    def optimizer(self, net):
        return po.Adan(net.parameters(), lr=1e-2)


class TestRanger(OptimizerCase):
    def optimizer(self, net):
        return po.Ranger21(net.parameters(), num_iterations=50, lr=1e-2)


class TestLookahead(OptimizerCase):
    def optimizer(self, net):
        return po.Lookahead(torch.optim.Adam(net.parameters(), lr=1e-2), k=3, alpha=0.5)


class TestSharpnessAwareMinimization(OptimizerCase):
    def make(self):
        return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))

    def optimizer(self, net):
        return po.SAM(net.parameters(), torch.optim.SGD, rho=0.05, lr=0.1, momentum=0.9)

    def hand_step(self, net, optimizer, batch):
        def closure():
            loss = self.hand_loss(net, batch)
            loss.backward()
            return loss

        loss = closure()
        optimizer.step(closure)
        optimizer.zero_grad()
        return loss


class TestScheduleFree(OptimizerCase):
    def make(self):
        return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))

    def optimizer(self, net):
        return pytest.importorskip("schedulefree").AdamWScheduleFree(net.parameters(), lr=0.01)

    def hand_step(self, net, optimizer, batch):
        optimizer.train()
        loss = super().hand_step(net, optimizer, batch)
        optimizer.eval()
        return loss
