"""Where `fit` gives the bits of a hand-written loop, by default or by an option, as the guide says."""

import pytest
import torch
from support.problems import same_weights
from torch import nn
from torch.nn import functional as F

import kerastorch as kt
from kerastorch.data import permutation

X = torch.randn(48, 3, 16, 16, generator=torch.Generator().manual_seed(0))
Y = torch.randint(0, 5, (48,), generator=torch.Generator().manual_seed(1))


class Residual(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(channels)

    def forward(self, x):
        return F.relu(x + self.second_norm(self.second(F.relu(self.first_norm(self.first(x))))))


def resnet():
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, stride=2, padding=1), nn.BatchNorm2d(16), nn.ReLU(), Residual(16), Residual(16),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 5),
    )  # fmt: skip


def lenet():
    return nn.Sequential(
        nn.Conv2d(3, 6, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 3), nn.ReLU(), nn.Flatten(), nn.Linear(256, 5)
    )


def plain():
    return nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(392, 5))


def dense():
    return nn.Sequential(nn.Flatten(), nn.Linear(768, 16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 5))


def sgd(weights):
    return torch.optim.SGD(weights, 0.05, momentum=0.9)


def by_hand(make, optimizer=sgd, channels_last=False):
    torch.manual_seed(3)
    module = make()
    learner = optimizer(module.parameters())
    for epoch in range(2):
        for rows in permutation(48, 3, epoch).split(16):
            x = X[rows].contiguous(memory_format=torch.channels_last) if channels_last else X[rows]
            learner.zero_grad()
            F.cross_entropy(module(x), Y[rows]).backward()
            learner.step()
    return module


def by_fit(make, optimizer=None, **options):
    kt.utils.set_random_seed(3)
    module = make()
    model = kt.Model(module)
    model.compile(sgd(module.parameters()) if optimizer is None else optimizer, nn.CrossEntropyLoss(), **options)
    model.fit(X, Y, batch_size=16, epochs=2, verbose=0)
    return module


@pytest.mark.parametrize("make", [resnet, lenet, plain, dense])
def test_contiguous_images_give_the_bits_of_the_plain_loop(make):
    assert same_weights(by_fit(make, memory_format="contiguous"), by_hand(make))


@pytest.mark.parametrize("make", [resnet, lenet])
def test_by_default_such_models_give_the_bits_of_a_loop_with_channels_last_images(make):
    assert same_weights(by_fit(make), by_hand(make, channels_last=True))


@pytest.mark.parametrize("make", [plain, dense])
def test_by_default_other_models_give_the_bits_of_the_plain_loop(make):
    assert same_weights(by_fit(make), by_hand(make))


@pytest.mark.parametrize("make", [resnet, lenet])
def test_the_default_differs_from_the_plain_loop_by_rounding_only(make):
    found, expected = by_fit(make), by_hand(make)
    torch.testing.assert_close(found.state_dict(), expected.state_dict(), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("fused", [True, None])
def test_adam_by_name_has_the_bits_of_the_fused_one_and_a_given_one_its_own(fused):
    def adam(weights):
        return torch.optim.Adam(weights, 0.001, eps=1e-7, fused=fused)

    if fused:
        assert same_weights(by_fit(dense, "adam"), by_hand(dense, adam))
    else:
        kt.utils.set_random_seed(3)
        module = dense()
        model = kt.Model(module)
        model.compile(adam(module.parameters()), nn.CrossEntropyLoss())
        model.fit(X, Y, batch_size=16, epochs=2, verbose=0)
        assert same_weights(module, by_hand(dense, adam))
