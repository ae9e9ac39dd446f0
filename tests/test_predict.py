"""predict looks at the model as it is at each call, and leaves it so."""

import copy

import numpy as np
import pytest
import torch
from support.problems import net
from torch import nn

import kerastorch as kt


def chain():
    return kt.Model(nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 2)))


def by_hand(model, x):
    other = copy.deepcopy(model).eval()
    with torch.no_grad():
        return other(x).numpy()


def change_weights(model):
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(1.0)


def replace_a_layer(model):
    model.module_viewed[3] = nn.Linear(8, 5)


def add_a_layer(model):
    model.module_viewed.append(nn.Linear(2, 3))


def add_a_lazy_layer(model):
    model.module_viewed.append(kt.layers.Dense(4))


def freeze(model):
    model.requires_grad_(False)


def train_by_hand(model):
    model.train()


def train_a_part(model):
    model.eval()
    model.module_viewed[2].train()


def evaluate_by_hand(model):
    model.eval()


CHANGES = [
    change_weights, replace_a_layer, add_a_layer, add_a_lazy_layer, freeze, train_by_hand, train_a_part,
    evaluate_by_hand,
]  # fmt: skip


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("change", CHANGES)
def test_what_was_changed_between_two_predictions_counts(change, compiled):
    model, x = chain(), torch.randn(3, 6)
    if compiled:
        model.compile("sgd", "mse")
    model.predict(x, verbose=0)
    change(model)
    modes = [module.training for module in model.modules()]
    found = model.predict(x, verbose=0)
    assert [module.training for module in model.modules()][: len(modes)] == modes
    np.testing.assert_array_equal(found, by_hand(model, x))


def test_the_dtype_of_the_weights_is_followed():
    model, x = chain(), np.random.default_rng(0).normal(size=(3, 6))
    assert model.predict(x, verbose=0).dtype == np.float32
    model.double()
    assert model.predict(x, verbose=0).dtype == np.float64
    np.testing.assert_array_equal(model.predict(x, verbose=0), by_hand(model, torch.from_numpy(x)))


def test_a_module_that_switches_its_modes_itself_is_asked():
    class Merging(nn.Linear):
        asked = 0

        def train(self, mode=True):
            self.asked += 1
            return super().train(mode)

    model = kt.Sequential([nn.Linear(6, 6), Merging(6, 2)])
    model.predict(torch.zeros(1, 6), verbose=0)
    assert model[1].asked == 1


def test_a_module_kept_in_its_mode_by_hand_stays_in_it():
    model = kt.Sequential([nn.Linear(6, 6), nn.Dropout(0.5)])
    model[1].train = lambda mode=True: model[1]
    torch.manual_seed(0)
    assert (model.predict(torch.ones(1, 6), verbose=0) == 0).any()


def test_a_scripted_module_is_predicted_in_evaluation_mode():
    with pytest.warns((DeprecationWarning, FutureWarning), match="script"):  # FutureWarning since torch 2.14
        scripted = torch.jit.script(net())
    model, x = kt.Model(scripted), torch.randn(3, 6)
    found = model.predict(x, verbose=0)
    assert scripted.training
    with torch.no_grad():
        np.testing.assert_array_equal(found, scripted.eval()(x).numpy())


def test_modes_are_put_back_where_switching_fails():
    class Stubborn(nn.Linear):
        def eval(self):
            raise RuntimeError("no")

        def train(self, mode=True):
            raise RuntimeError("no")

    model = kt.Sequential([nn.Dropout(0.5), Stubborn(6, 2)])
    with pytest.raises(RuntimeError, match="no"):
        model.predict(torch.zeros(1, 6), verbose=0)
    assert all(module.training for module in model.modules())


@pytest.mark.parametrize("writable", [True, False])
def test_one_row_of_numpy_is_neither_written_to_nor_held(writable):
    class InPlace(nn.Module):
        def forward(self, x):
            return x.add_(1)

    x = np.zeros((1, 3), np.float32)
    x.flags.writeable = writable
    found = kt.Model(InPlace()).predict(x, verbose=0)
    assert found.tolist() == [[1.0, 1.0, 1.0]]
    assert x.tolist() == [[0.0, 0.0, 0.0]]


def test_outputs_do_not_share_memory_with_the_model():
    class Weight(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(1, 2))

        def forward(self, x):
            return self.weight

    model = kt.Model(Weight())
    model.predict(torch.zeros(1, 2), verbose=0)[:] = 5
    assert model.module_viewed.weight.tolist() == [[1.0, 1.0]]
