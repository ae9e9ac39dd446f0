"""Masks go from layer to layer in chains and graphs."""

import pytest
import torch
from torch import nn

from kerastorch import Input, Model, Sequential
from kerastorch.layers import BatchNormalization, Dense, Embedding, Flatten, Layer, Masking


class Padded(Layer):
    """Ones for numbers; 0 is padding."""

    def forward(self, x):
        return torch.ones(*x.shape, 2) * x.unsqueeze(-1)

    def compute_mask(self, x, mask=None):
        return x.ne(0)


class Counted(Layer):
    """The number of steps that count, or of all."""

    def forward(self, x, mask=None):
        steps = torch.ones(x.shape[:2]) if mask is None else mask.float()
        return steps.sum(1)


NUMBERS = torch.tensor([[3, 4, 0], [5, 0, 0]])


def _functional(*between):
    x = y = Input((3,), "int64")
    for layer in (Padded(), *between, Counted()):
        y = layer(y)
    return Model(x, y)


def _chain(*between):
    return Sequential([Padded(), *between, Counted()])


def _nested(*between):
    return Sequential([Sequential([Padded(), *between]), Sequential([Counted()])])


makers = pytest.mark.parametrize("make", [_functional, _chain, _nested])


@makers
def test_a_mask_reaches_the_layer_that_takes_it(make):
    assert make()(NUMBERS).tolist() == [2, 1]


@makers
def test_it_passes_layers_that_work_step_by_step(make):
    assert make(Dense(4, "relu"), Dense(2))(NUMBERS).tolist() == [2, 1]


@pytest.mark.parametrize("make", [_chain, _nested])
def test_it_passes_modules_of_torch_that_do(make):
    assert make(nn.Linear(2, 4), nn.Dropout(0.1), nn.ReLU(), nn.LayerNorm(4))(NUMBERS).tolist() == [2, 1]


@pytest.mark.parametrize("make", [_chain, _nested])
def test_it_ends_with_a_warning_at_one_that_does_not_know_it(make):
    class Mixing(nn.Module):
        def forward(self, x):
            return x.flip(1)

    with pytest.warns(UserWarning, match="Mixing does not know masks"):
        assert make(Mixing())(NUMBERS).tolist() == [3, 3]


def test_a_layer_of_ones_own_says_that_it_passes_masks():
    class Own(Layer):
        supports_masking = True

        def forward(self, x):
            return x * 2

    assert _chain(Own())(NUMBERS).tolist() == [2, 1]
    assert _functional(Own())(NUMBERS).tolist() == [2, 1]


def test_a_mask_that_is_given_is_taken():
    x = Input((3,), "int64")
    y = Padded()(x)
    model = Model(x, Counted()(y, mask=x.ge(4)))
    assert model(NUMBERS).tolist() == [1, 1]


def test_masks_are_written_in_the_code():
    assert "ne = input_1.ne(0)" in _functional().code


def test_a_chain_with_masks_compiles_whole():
    model = _chain(Dense(2))
    model(NUMBERS)
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    assert compiled(NUMBERS).tolist() == [2, 1]


def test_without_masks_a_chain_calls_its_layers_as_it_always_did():
    model = Sequential([Flatten(), Dense(2)])
    assert not model._makes_masks
    assert model(torch.ones(2, 3, 4)).shape == (2, 2)


def _per_token(*before, outputs=1):
    x = y = Input((3,), "int64")
    for layer in (Embedding(6, 4, mask_zero=True), *before):
        y = layer(y)
    heads = [Dense(2, name=f"head_{index}")(y) for index in range(outputs)]
    return Model(x, heads)


def _cost_of_steps_that_count(outputs, targets):
    return (outputs - targets).square().mean(-1)[NUMBERS != 0].mean().item()


def test_each_of_several_outputs_is_masked_in_losses_and_metrics_for_every_batch_size():
    model, targets = _per_token(outputs=2), torch.randn(2, 3, 2)
    model.compile("sgd", ["mse", "mse"], metrics=[["mse"], ["mse"]])
    expected = [_cost_of_steps_that_count(one, targets) for one in model(NUMBERS)]
    for batch_size in (1, 2):
        found = model.evaluate(NUMBERS, [targets, targets], batch_size=batch_size, verbose=0, return_dict=True)
        assert found["loss"] == pytest.approx(sum(expected))
        for index, one in enumerate(expected):
            assert found[f"head_{index}_loss"] == pytest.approx(one)
            assert found[f"head_{index}_mse"] == pytest.approx(one)


def test_finding_the_mask_of_the_output_changes_no_statistics_and_charges_nothing_twice():
    normal, charged = BatchNormalization(), Dense(2, activity_regularizer="l2")
    x = Input((3, 2))
    model = Model(x, Dense(1)(Masking()(charged(normal(x)))))
    model.compile("sgd", "mse", metrics=["mse"])
    inputs = torch.randn(4, 3, 2) + 5
    with torch.no_grad():
        penalty = 0.01 * charged(normal.eval()(inputs)).square().sum().item() / 4
    normal.train()
    found = model.evaluate(inputs, torch.zeros(4, 3, 1), verbose=0, return_dict=True)
    assert found["loss"] - found["data_loss"] == pytest.approx(penalty, rel=1e-4)
    model.train_on_batch(inputs, torch.zeros(4, 3, 1))
    momentum = normal.momentum
    torch.testing.assert_close(normal.running_mean, (1 - momentum) * inputs.mean((0, 1)))


@pytest.mark.parametrize("make", [lambda x, y: Model(x, y), lambda x, y: Sequential([Embedding(6, 4, mask_zero=True)])])
def test_a_mask_that_a_model_makes_goes_on_where_it_is_a_part_of_another(make):
    x = Input((3,), "int64")
    encoder = make(x, Embedding(6, 4, mask_zero=True)(x))
    ids = Input((3,), "int64")
    model, targets = Model(ids, Dense(2)(encoder(ids))), torch.randn(2, 3, 2)
    model.compile("sgd", "mse")
    expected = _cost_of_steps_that_count(model(NUMBERS), targets)
    assert model.evaluate(NUMBERS, targets, verbose=0) == pytest.approx(expected)
    assert Model(ids, Counted()(encoder(ids)))(NUMBERS).tolist() == [2, 1]
    assert Sequential([encoder, Counted()])(NUMBERS).tolist() == [2, 1]


def test_a_mask_made_from_the_numbers_of_layers_inside_ends_with_their_model_and_a_warning():
    x, z = Input((3, 2)), Input((3, 2))
    inner = Model(x, Masking()(Dense(2)(x)))
    with pytest.warns(UserWarning, match="dropped at its output"):
        assert inner(z).mask is None
