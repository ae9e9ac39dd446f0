"""Models that are made on the meta device: sharded, then initialized with the numbers of one process."""

import pytest
import torch
from support.sharded_case import BATCH, largest_difference, network, rows, whole
from torch import nn

import kerastorch as kt
from kerastorch.distribution import full_shard
from kerastorch.distribution.meta_weights import initialize_weights
from kerastorch.distribution.settings import FullyShard


def _own():
    torch.manual_seed(0)
    layers = [
        kt.layers.Dense(7, "relu", kernel_initializer="he_normal"),
        kt.layers.BatchNormalization(),
        kt.layers.Dense(3, kernel_initializer=kt.initializers.GlorotUniform(seed=3)),
    ]
    return kt.Sequential([kt.Input((6,)), *layers])


def _torch():
    return nn.Sequential(network(), nn.BatchNorm1d(3), nn.Linear(3, 3))


MAKERS = {"own": _own, "torch": _torch}


def _against_one_process(kind):
    one = MAKERS[kind]()
    after = torch.rand(3)
    with torch.device("meta"):
        model = MAKERS[kind]()
    assert all(weight.is_meta for weight in model.parameters())
    full_shard.apply(model, FullyShard())
    torch.manual_seed(0)
    initialize_weights(model)
    differences = [largest_difference(one.state_dict(), whole(model)), (torch.rand(3) - after).abs().max().item()]
    x, y = rows()
    for part in (one, model):
        part = part if hasattr(part, "fit") else kt.Model(part)
        part.compile("sgd", "mse", distribution=None)
        part.fit(x, y, batch_size=BATCH, verbose=0, shuffle=False)
    return differences, largest_difference(one.state_dict(), whole(model))


@pytest.mark.parametrize("kind", MAKERS)
def test_initial_weights_are_those_of_one_process_with_the_same_seed(two, kind):
    for differences, after_training in two.run(_against_one_process, kind):
        assert differences == [0, 0]
        assert after_training < 1e-6


class WithScale(nn.Module):
    """A module that fills its weight in `__init__` alone."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(2))


def test_a_module_that_cannot_fill_its_weights_again_is_an_error_in_words():
    with torch.device("meta"):
        model = nn.Sequential(nn.Linear(2, 2), WithScale())
    with pytest.raises(ValueError, match=r"1 is a WithScale, which has weights .* Write this method"):
        initialize_weights(model)
    assert model[0].weight.is_meta
