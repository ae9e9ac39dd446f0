"""Bidirectional, TimeDistributed and Wrapper: directions, errors, masks, modules of torch."""

import json

import pytest
import torch
from support.layer_rows.row import numbers
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from kerastorch import Input, Sequential, keras
from kerastorch.layers import (
    GRU,
    LSTM,
    RNN,
    Bidirectional,
    Dense,
    GRUCell,
    LSTMCell,
    SpectralNormalization,
    TimeDistributed,
    Wrapper,
)


def test_a_bidirectional_layer_makes_weights_of_its_own():
    inner = LSTM(3)
    inner(numbers(2, 5, 4))
    layer = Bidirectional(inner)
    layer(numbers(2, 5, 4))
    assert not torch.equal(layer.forward_layer.weight_ih_l0, inner.weight_ih_l0)
    assert not torch.equal(layer.forward_layer.weight_ih_l0, layer.backward_layer.weight_ih_l0)
    assert not inner.go_backwards


@pytest.mark.parametrize("mode", ["concat", None])
def test_a_packed_sequence_goes_both_ways_as_each_row_does_alone(mode):
    rows = [numbers(n, 4, seed=n) for n in (2, 5, 3)]
    packed = nn.utils.rnn.pack_sequence(rows, enforce_sorted=False)
    layer = Bidirectional(GRU(3, return_sequences=True), mode)
    found = layer(packed)
    expected = [layer(row[None]) for row in rows]
    if mode is not None:
        found, expected = (found,), [(one,) for one in expected]
    for at, one in enumerate(found):
        assert isinstance(one, PackedSequence)
        padded, _ = pad_packed_sequence(one, batch_first=True)
        for index, row in enumerate(rows):
            torch.testing.assert_close(padded[index, : len(row)], expected[index][at][0])


def test_initial_states_are_shared_out_forward_first():
    x, states = numbers(2, 5, 4), [numbers(2, 3, seed=s) for s in range(4)]
    layer = Bidirectional(LSTM(3, return_state=True))
    y, *_ = layer(x, states)
    expected = torch.cat([layer.forward_layer(x, states[:2])[0], layer.backward_layer(x, states[2:])[0]], -1)
    torch.testing.assert_close(y, expected)


def test_initial_states_are_shared_out_by_the_number_of_each_layer():
    x, states = numbers(2, 5, 4), [numbers(2, 3, seed=s) for s in range(3)]
    layer = Bidirectional(GRU(3), backward_layer=LSTM(3, go_backwards=True))
    y = layer(x, states)
    expected = torch.cat([layer.forward_layer(x, states[:1]), layer.backward_layer(x, states[1:])], -1)
    torch.testing.assert_close(y, expected)


@pytest.mark.parametrize(
    ("inner", "n_states"), [(LSTM(3), 2), (GRU(3), 1), (RNN(LSTMCell(3)), 2), (RNN([GRUCell(3), LSTMCell(3)]), 2)]
)
@pytest.mark.parametrize("packed", [False, True])
def test_a_wrong_number_of_initial_states_is_refused(inner, n_states, packed):
    rows = nn.utils.rnn.pack_sequence([numbers(n, 4, seed=n) for n in (5, 2)])
    layer = Bidirectional(inner)
    for given in (0, 1, 2 * n_states - 1, 2 * n_states + 1, 2 * n_states + 2):
        message = rf"has {2 * n_states} tensors, {n_states} of the forward .* and {n_states} of .*; got {given}\."
        with pytest.raises(ValueError, match=message):
            layer(rows if packed else numbers(2, 5, 4), [torch.zeros(2, 3)] * given)
    with pytest.raises(ValueError, match=r"got 1\."):
        layer(rows if packed else numbers(2, 5, 4), torch.zeros(2, 3))


@pytest.mark.parametrize("several", [False, True])
def test_a_built_cell_in_an_unbuilt_layer_gets_new_weights_in_both_directions(several):
    cell = GRUCell(3)
    cell(numbers(2, 4), torch.zeros(2, 3))
    layer = Bidirectional(RNN([cell] if several else cell))
    layer(numbers(2, 5, 4))
    ahead, back = (dict(one.named_parameters()) for one in (layer.forward_layer, layer.backward_layer))
    name = "cell.cells.0.weight_ih" if several else "cell.weight_ih"
    assert not torch.equal(ahead[name], cell.weight_ih)
    assert not torch.equal(back[name], cell.weight_ih)
    assert not torch.equal(ahead[name], back[name])


class Weighted(nn.Module):
    """A cell that is not kerastorch's, which may have a part that is."""

    state_size = 4

    def __init__(self, part=None):
        super().__init__()
        self.linear, self.part = nn.Linear(4, 4), part

    def forward(self, x, states):
        h = self.linear(x) + states[0]
        return h, [h]


@pytest.mark.parametrize("built", [False, True])
def test_the_weights_of_a_cell_of_ones_own_are_copied(built):
    part = Dense(2)
    if built:
        part(numbers(2, 4))
    cell = Weighted(part)
    layer = Bidirectional(RNN(cell), "concat")
    x = numbers(2, 5, 4)
    torch.testing.assert_close(layer(x), cell.linear(x).sum(1).repeat(1, 2))
    assert layer.forward_layer.cell.linear.weight is not cell.linear.weight


def test_a_stateful_bidirectional_layer_forgets_both_ways():
    x = numbers(2, 5, 4)
    layer = Bidirectional(GRU(3, stateful=True))
    first = layer(x)
    assert not torch.equal(layer(x), first)
    layer.reset_states()
    torch.testing.assert_close(layer(x), first)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Bidirectional(Dense(3)), TypeError, "Bidirectional takes a recurrent layer"),
        (lambda: Bidirectional(LSTM(3), "cat"), ValueError, "merge_mode must be one of 'sum'"),
        (lambda: Bidirectional(LSTM(3), weights=[1]), ValueError, "load_state_dict"),
        (lambda: Bidirectional(LSTM(3), backward_layer=LSTM(3)), ValueError, "backward_layer backwards"),
        (
            lambda: Bidirectional(LSTM(3), backward_layer=LSTM(3, return_state=True, go_backwards=True)),
            ValueError,
            "differ in return_state",
        ),
        (lambda: TimeDistributed(torch.relu), TypeError, "TimeDistributed takes a layer"),
        (lambda: TimeDistributed(Dense(3))(torch.zeros(2, 3)), ValueError, r"\(batch, time, \.\.\.\)"),
        (
            lambda: TimeDistributed(Dense(3))(torch.zeros(2, 3, 4), mask=torch.ones(2, 4)),
            ValueError,
            r"here \(2, 3\)",
        ),
    ],
)
def test_what_cannot_be_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_any_module_of_torch_runs_at_every_step():
    x = numbers(2, 3, 1, 8, 8)
    layer = TimeDistributed(nn.Sequential(nn.LazyConv2d(4, 3), nn.ReLU(), nn.Flatten()))
    y = layer(x)
    torch.testing.assert_close(y, torch.stack([layer.layer(x[:, t]) for t in range(3)], 1))


def test_modules_that_return_several_are_taken_apart():
    y, state = TimeDistributed(GRU(3, return_state=True))(numbers(2, 3, 5, 4))
    assert y.shape == state.shape == (2, 3, 3)


def test_batch_normalization_sees_all_steps_at_once():
    x = numbers(8, 5, 3)
    layer = TimeDistributed(nn.BatchNorm1d(3))
    torch.testing.assert_close(layer(x), nn.BatchNorm1d(3)(x.reshape(-1, 3)).view_as(x))


def test_the_mask_of_the_steps_goes_on():
    steps, within = torch.tensor([[True, False]]), torch.tensor([[[True, False], [False, False]]])
    assert TimeDistributed(Dense(3)).compute_mask(None, steps) is steps
    assert TimeDistributed(GRU(3)).compute_mask(None, within).tolist() == [[True, False]]
    assert TimeDistributed(GRU(3, return_sequences=True)).compute_mask(None, within) is within
    assert Bidirectional(GRU(3)).compute_mask(None, steps) is None
    assert Bidirectional(GRU(3, return_sequences=True), None).compute_mask(None, steps) == (steps, steps)


def test_what_is_inside_is_built_by_an_input_to_come():
    x = Input((None, 5))
    y = Bidirectional(LSTM(3))(TimeDistributed(Dense(4))(x))
    assert y.shape == (None, 6)


class _Scaled(keras.layers.Wrapper):
    """A wrapper as scripts for Keras write it: an argument of its own, a weight, and `call`."""

    def __init__(self, layer, factor=2.0, **kwargs):
        super().__init__(layer, **kwargs)
        self.factor = factor

    def build(self, input_shape):
        super().build(input_shape)
        self.shift = self.add_weight((1,), "ones", name="shift")

    def call(self, x):
        return self.factor * self.layer(x) + self.shift


def test_a_wrapper_builds_its_layer_and_is_made_again_from_its_config():
    layer, x = _Scaled(Dense(3), factor=4.0, name="scaled"), numbers(2, 5)
    assert torch.equal(layer(x), 4 * layer.layer(x) + 1)
    assert layer.layer.built
    assert len(layer.trainable_weights) == 3
    config = json.loads(json.dumps(layer.get_config()))
    again = _Scaled.from_config(config)
    assert (again.factor, again.name, again.layer.units) == (4.0, "scaled", 3)
    again(x)
    again.load_state_dict(layer.state_dict())
    assert torch.equal(again(x), layer(x))


def test_a_wrapper_in_a_model_trains_the_weights_of_its_layer():
    model = Sequential([Input((5,)), _Scaled(nn.Linear(5, 3)), Dense(1)])
    model.compile("sgd", "mse")
    before = [w.copy() for w in model.get_weights()]
    model.fit(numbers(8, 5), numbers(8, 1, seed=2), epochs=1, verbose=0)
    assert all((old != new).any() for old, new in zip(before, model.get_weights(), strict=True))


def test_wrappers_are_wrappers_and_take_modules_only():
    assert issubclass(TimeDistributed, Wrapper)
    assert issubclass(SpectralNormalization, Wrapper)
    assert isinstance(_Scaled(Dense(1)), Wrapper)
    with pytest.raises(TypeError, match=r"_Scaled takes a layer or a torch\.nn\.Module, got <built-in function abs>"):
        _Scaled(abs)
    with pytest.raises(TypeError, match=r"must define forward\(self, x\), or call"):
        Wrapper(Dense(1))(numbers(2, 3))
