"""SimpleRNN, LSTM, GRU, RNN: weights, paths, masks, packed sequences, dropout, kept states."""

import numpy as np
import pytest
import torch
from support.layer_rows.row import numbers
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

import kerastorch as kt
from kerastorch.layers import GRU, LSTM, RNN, GRUCell, Layer, LSTMCell, SimpleRNN, SimpleRNNCell, StackedRNNCells

KINDS = [(SimpleRNN, nn.RNN), (LSTM, nn.LSTM), (GRU, nn.GRU)]
each = pytest.mark.parametrize(("ours", "torchs"), KINDS, ids=["SimpleRNN", "LSTM", "GRU"])


@each
def test_files_open_in_torchs_own_module_and_back(ours, torchs):
    x = numbers(5, 6, 4)
    layer = ours(3, return_sequences=True)
    y = layer(x)
    plain = torchs(4, 3, batch_first=True)
    plain.load_state_dict(layer.state_dict())
    torch.testing.assert_close(plain(x)[0], y)
    other = torchs(4, 3, batch_first=True)
    layer.load_state_dict(other.state_dict())
    torch.testing.assert_close(layer(x), other(x)[0])


@pytest.mark.parametrize(
    ("ours", "torchs"), [(SimpleRNNCell, nn.RNNCell), (LSTMCell, nn.LSTMCell), (GRUCell, nn.GRUCell)]
)
def test_files_of_cells_open_in_torchs_cells(ours, torchs):
    x = numbers(5, 4)
    cell = ours(3)
    h = torch.zeros(5, 3)
    cell(x, [h, h] if ours is LSTMCell else h)
    plain = torchs(4, 3)
    plain.load_state_dict(cell.state_dict())
    found = plain(x)
    torch.testing.assert_close(cell(x, cell.get_initial_state(5))[0], found[0] if ours is LSTMCell else found)


@each
def test_the_loop_gives_the_gradients_of_the_kernel(ours, torchs):
    x, mask = numbers(5, 6, 4), numbers(5, 6) > -0.5
    layer = ours(3, return_sequences=True, return_state=True)
    layer(x)
    for given in (None, mask):
        found = []
        for use in ("auto", False):
            layer.use_cudnn = use
            y, *states = layer(x, mask=given)
            total = (y * numbers(*y.shape)).sum() + sum((s * numbers(5, 3, seed=9)).sum() for s in states)
            found.append(torch.autograd.grad(total, list(layer.parameters())))
        for one, other in zip(*found, strict=True):
            torch.testing.assert_close(one, other)


def test_initial_weights_are_keras_gate_by_gate():
    torch.manual_seed(0)
    layer = LSTM(64)
    layer(numbers(2, 3, 32))
    limit = (6 / (32 + 4 * 64)) ** 0.5  # of the whole kernel
    for gate in layer.weight_ih_l0.detach().chunk(4):
        assert gate.abs().max() <= limit
        assert abs(gate.std() - limit / 3**0.5) < 0.03 * limit
    torch.testing.assert_close(layer.weight_hh_l0.T @ layer.weight_hh_l0, torch.eye(64), rtol=0, atol=1e-5)
    expected = torch.cat([torch.zeros(64), torch.ones(64), torch.zeros(128)])
    torch.testing.assert_close(layer.bias_ih_l0.detach(), expected, rtol=0, atol=0)
    assert not layer.bias_hh_l0.any()
    assert "bias_hh_l0" not in dict(layer.named_parameters())
    without = LSTM(4, unit_forget_bias=False)
    without(numbers(2, 3, 5))
    assert not without.bias_ih_l0.any()


def test_keras_counts_of_weights_hold():
    counts = []
    for layer in (SimpleRNN(3), LSTM(3), GRU(3), GRU(3, reset_after=False)):
        layer(numbers(2, 6, 4))
        counts.append(sum(p.numel() for p in layer.parameters()))
    assert counts == [3 * (4 + 3 + 1), 12 * (4 + 3 + 1), 9 * (4 + 3 + 2), 9 * (4 + 3 + 1)]


@each
@pytest.mark.parametrize("loop", [False, True])
def test_padding_has_no_say_whatever_stands_in_it(ours, torchs, loop):
    x = numbers(2, 6, 4)
    mask = torch.tensor([[True, True, False, False, False, False], [True, False, True, True, False, False]])
    layer = ours(3, return_state=True)
    layer(x)
    if loop:
        layer.use_cudnn = False
        wild = x.masked_fill(~mask.unsqueeze(-1), 1e4)
    else:
        wild = x.masked_fill(~mask.unsqueeze(-1), torch.nan)
    found = layer(wild, mask=mask)
    for row in range(2):
        alone = layer(x[row][mask[row]][None])
        for one, other in zip(found, alone, strict=True):
            torch.testing.assert_close(one[row : row + 1], other)
    if not loop:
        found[0].sum().backward()
        assert all(p.grad.isfinite().all() for p in layer.parameters())


def test_the_carry_state_stays_exactly_after_the_last_step_for_large_weights_too():
    x = numbers(1, 8, 4)
    layer = LSTM(3, return_state=True)
    layer(x)
    with torch.no_grad():
        for weight in layer.parameters():
            weight.mul_(40)
    mask = torch.arange(8).unsqueeze(0) < 3
    torch.testing.assert_close(layer(x, mask=mask)[2], layer(x[:, :3])[2], rtol=0, atol=0)


@each
@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("settings", [{}, {"recurrent_dropout": 0.5}])
def test_a_packed_sequence_gives_what_each_row_gives_alone(ours, torchs, backwards, settings):
    rows = [numbers(n, 4, seed=n) for n in (2, 5, 3)]
    packed = nn.utils.rnn.pack_sequence(rows, enforce_sorted=False)
    whole = ours(3, return_sequences=True, return_state=True, go_backwards=backwards, **settings)
    last = ours(3, go_backwards=backwards, **settings)
    for layer in (whole, last):
        layer(packed)
        layer.eval()
    last.load_state_dict(whole.state_dict())
    y, *states = whole(packed)
    assert isinstance(y, PackedSequence)
    padded, lengths = pad_packed_sequence(y, batch_first=True)
    assert lengths.tolist() == [2, 5, 3]
    outputs = last(packed)
    for index, row in enumerate(rows):
        sequence, *expected = whole(row[None])
        torch.testing.assert_close(padded[index, : len(row)], sequence[0])
        torch.testing.assert_close(outputs[index], expected[0][0])
        for state, right in zip(states, expected, strict=True):
            torch.testing.assert_close(state[index], right[0])


@each
def test_a_packed_sequence_in_training_gives_torchs_gradients(ours, torchs):
    packed = pack_padded_sequence(numbers(3, 5, 4), torch.tensor([5, 2, 4]), batch_first=True, enforce_sorted=False)
    layer = ours(3, return_sequences=True)
    layer(packed).data.sin().sum().backward()
    plain = torchs(4, 3, batch_first=True)
    plain.load_state_dict(layer.state_dict())
    plain(packed)[0].data.sin().sum().backward()
    for name, weight in layer.named_parameters():
        torch.testing.assert_close(weight.grad, plain.get_parameter(name).grad)


def test_dropout_of_inputs_is_one_draw_for_all_time_steps():
    layer = LSTM(4, dropout=0.5, seed=1)
    noise, _ = layer.sample_dropout_masks(torch.zeros(200, 7, 50))
    assert noise.shape == (1, 200, 50)
    assert set(noise.unique().tolist()) == {0.0, 2.0}
    assert abs(noise.mean() - 1) < 0.05
    x = torch.ones(200, 7, 50)
    again = LSTM(4, dropout=0.5, seed=1)
    y = again(x)
    expected = nn.LSTM(50, 4, batch_first=True)
    expected.load_state_dict(again.state_dict())
    torch.testing.assert_close(y, expected(x * noise[0].unsqueeze(1))[1][0][0])


def test_recurrent_dropout_draws_for_each_gate():
    layer = GRU(4, dropout=0.25, recurrent_dropout=0.5)
    layer(numbers(3, 5, 6))
    inputs, states = layer.sample_dropout_masks(torch.zeros(300, 5, 6))
    assert inputs.shape == (3, 300, 6)
    assert states.shape == (3, 300, 4)
    assert set(states.unique().tolist()) == {0.0, 2.0}
    assert not torch.equal(states[0], states[1])
    layer.eval()
    assert layer.sample_dropout_masks(torch.zeros(3, 5, 6)) == (None, None)


def test_a_cell_in_an_rnn_gives_what_the_layer_gives_with_the_same_draw():
    x = numbers(5, 6, 4)
    layer = GRU(3, dropout=0.3, recurrent_dropout=0.4, return_sequences=True, seed=5)
    over = RNN(GRUCell(3, dropout=0.3, recurrent_dropout=0.4, seed=5), return_sequences=True)
    layer.ensure_built(x.shape)
    over.cell.ensure_built(x[:, 0].shape)
    over.cell.load_state_dict({name.removesuffix("_l0"): value for name, value in layer.state_dict().items()})
    torch.testing.assert_close(over(x), layer(x))


def test_stateful_layers_go_on_where_the_last_batch_ended():
    x = numbers(3, 8, 4)
    for layer in (LSTM(5, stateful=True), RNN([GRUCell(5), LSTMCell(5)], stateful=True)):
        layer(x)
        layer.reset_state()
        y = [layer(x[:, :3]), layer(x[:, 3:5]), layer(x[:, 5:])]
        layer.reset_states()
        torch.testing.assert_close(layer(x), y[2])
        assert not any("state_" in name for name in layer.state_dict())


def test_stateful_layers_learn_batch_after_batch():
    layer = LSTM(5, stateful=True)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)])
    for seed in range(3):
        y = layer(numbers(3, 8, 4, seed=seed))
        if seed == 0:
            optimizer.add_param_group({"params": list(layer.parameters())})
        optimizer.zero_grad()
        y.square().sum().backward()
        optimizer.step()
        assert not layer.state_0.requires_grad


def test_a_stateful_layer_compiles_whole_once_it_has_states():
    torch._dynamo.reset()
    x = numbers(3, 4, 4)
    layer = GRU(5, stateful=True)
    layer(x)
    expected = [layer(x), layer(x)]
    layer.reset_state()
    layer(x)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    for right in expected:
        torch.testing.assert_close(compiled(x), right)


def test_a_stateful_layer_refuses_a_batch_of_another_size():
    layer = GRU(5, stateful=True)
    layer(numbers(3, 8, 4))
    with pytest.raises(ValueError, match=r"keeps states of 3 rows, got a batch of 2.*reset_state"):
        layer(numbers(2, 8, 4))
    layer.reset_state()
    layer(numbers(2, 8, 4))


def test_a_stateful_layer_stores_states_of_another_batch_size_given_to_it():
    layer, plain = GRU(5, stateful=True), nn.GRU(4, 5, batch_first=True)
    layer(numbers(3, 8, 4))
    plain.load_state_dict({name: value for name, value in layer.state_dict().items() if name in plain.state_dict()})
    x, h = numbers(2, 8, 4), numbers(2, 5, seed=1)
    layer(x, h)
    right = plain(x, h.unsqueeze(0))[1]
    torch.testing.assert_close(layer.kept_states["state_0"], right[0])
    torch.testing.assert_close(layer(x), plain(x, right)[1][0])


@pytest.mark.parametrize(("kind", "n_states"), [(SimpleRNNCell, 1), (LSTMCell, 2), (GRUCell, 1)])
def test_an_unbuilt_cell_has_initial_states(kind, n_states):
    states = kind(3).double().get_initial_state(2)
    assert len(states) == n_states
    for state in states:
        torch.testing.assert_close(state, torch.zeros(2, 3, dtype=torch.float64), rtol=0, atol=0)


class Leaky(nn.Module):
    state_size = 4

    def forward(self, x, states):
        h = 0.9 * states[0] + x
        return 2 * h, [h]

    def get_initial_state(self, batch_size):
        return torch.ones(batch_size, 4)


def test_a_cell_of_ones_own_runs_over_time():
    x = numbers(3, 5, 4)
    h = torch.ones(3, 4)
    for t in range(5):
        h = 0.9 * h + x[:, t]
    y, state = RNN(Leaky(), return_state=True)(x)
    torch.testing.assert_close(y, 2 * h)
    torch.testing.assert_close(state, h)
    torch.testing.assert_close(RNN([Leaky(), Leaky()])(x), RNN(Leaky())(RNN(Leaky(), return_sequences=True)(x)))


class Running(nn.Module):
    """The running sum of matrices, times a factor that is sampled once for all steps."""

    state_size = torch.Size([2, 3])

    def draw(self, x):
        return torch.full((x.shape[0], 1, 1), 7.0)

    def forward(self, x, states, drawn=None):
        total = states[0] + x
        return total if drawn is None else total * drawn, [total]


@pytest.mark.parametrize("stacked", [False, True])
def test_a_cell_with_the_old_name_draw_goes_on_working(stacked):
    x = numbers(4, 5, 2, 3)
    with pytest.warns(DeprecationWarning, match="Running.draw is deprecated: it is called sample_dropout_masks now"):
        layer = RNN([Running()] if stacked else Running())
    torch.testing.assert_close(layer(x), 7 * x.sum(1))


def test_a_state_with_a_shape_is_one_state():
    x, start = numbers(4, 5, 2, 3), numbers(4, 2, 3, seed=1)
    with pytest.warns(DeprecationWarning, match="Running.draw"):
        layer = RNN(Running())
    torch.testing.assert_close(layer(x, start), 7 * (start + x.sum(1)))


def test_compute_mask_goes_on_with_sequences_only():
    mask = torch.ones(2, 3, dtype=torch.bool)
    assert LSTM(3, return_sequences=True).compute_mask(None, mask) is mask
    assert LSTM(3).compute_mask(None, mask) is None


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LSTM(0), "units must be an integer >= 1, got 0"),
        (lambda: LSTM(3, dropout=1.0), r"dropout must be a finite number >= 0 and < 1"),
        (lambda: GRU(3, use_cudnn="yes"), "use_cudnn must be 'auto', True or False"),
        (lambda: GRU(3, reset_after=False, use_cudnn=True), "GRU can use with activation='tanh'.*reset_after=True"),
        (lambda: LSTM(3)(torch.zeros(2, 4)), r"LSTM takes \(batch, time, features\), got shape \(2, 4\)"),
        (lambda: LSTM(3)(torch.zeros(2, 5, 4), mask=torch.ones(2, 4).bool()), r"mask must be .*here \(2, 5\)"),
        (lambda: LSTM(3)(torch.zeros(2, 5, 4), torch.zeros(2, 3)), "initial_state of LSTM has 2 tensors, got 1"),
        (lambda: StackedRNNCells([]), "at least one cell"),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("cell", [LSTM(3), nn.LSTMCell(3, 4), "lstm", Layer()])
def test_what_is_no_cell_is_refused(cell):
    with pytest.raises(TypeError, match="A cell is a module with"):
        RNN(cell)


def test_penalties_and_constraints_reach_the_weights():
    layer = GRU(3, kernel_regularizer="l2", bias_regularizer="l1", recurrent_constraint="max_norm")
    layer(numbers(2, 5, 4))
    assert set(layer.weight_regularizers) == {"weight_ih_l0", "bias_ih_l0", "bias_hh_l0"}
    assert set(layer.weight_constraints) == {"weight_hh_l0"}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_other_dtypes_go_through_both_paths(dtype):
    x, mask = numbers(2, 5, 4).to(dtype), torch.tensor([[1, 1, 0, 0, 0], [1, 1, 1, 1, 1]]).bool()
    for kind in (SimpleRNN, LSTM, GRU):
        layer = kind(3, return_state=True)
        layer(numbers(2, 5, 4))
        layer.to(dtype)
        kernel = layer(x, mask=mask)
        layer.use_cudnn = False
        for one, other in zip(kernel, layer(x, mask=mask), strict=True):
            assert one.dtype == dtype
            torch.testing.assert_close(one, other, rtol=0.05, atol=0.02)


@pytest.mark.parametrize("make", [lambda: LSTM(16), lambda: GRU(16, recurrent_dropout=0.1), lambda: RNN(LSTMCell(16))])
def test_a_recurrent_model_learns_to_tell_which_came_first(make):
    kt.utils.set_random_seed(1)
    x = np.random.default_rng(0).normal(size=(256, 7, 3)).astype("float32")
    y = (x[:, 0, 0] > x[:, -1, 0]).astype("float32")
    model = kt.Sequential([make(), kt.layers.Dense(1, "sigmoid")])
    model.compile(kt.optimizers.Adam(0.02), "binary_crossentropy", metrics=["accuracy"])
    history = model.fit(x, y, epochs=20, verbose=0)
    assert history.history["accuracy"][-1] > 0.9


@pytest.mark.parametrize("built", [False, True])
def test_a_stateful_model_carries_states_through_predict_and_its_dry_run_leaves_none(built):
    x = numbers(4, 6, 3).numpy()
    front = [kt.Input((6, 3))] if built else []
    model = kt.Sequential([*front, LSTM(5, stateful=True)])
    model.compile("sgd", "mse")
    first, second = model.predict(x, batch_size=4, verbose=0), model.predict(x, batch_size=4, verbose=0)
    layer = model.layers[-1]
    layer.reset_state()
    with torch.no_grad():
        torch.testing.assert_close(layer(torch.tensor(x)), torch.tensor(first))
        torch.testing.assert_close(layer(torch.tensor(x)), torch.tensor(second))


def test_an_activity_penalty_counts_output_and_states():
    x, y = numbers(4, 6, 3), torch.zeros(4, 5)

    class Last(kt.Model):
        def __init__(self):
            super().__init__()
            self.lstm = LSTM(5, return_state=True, activity_regularizer="l2")

        def forward(self, x):
            return self.lstm(x)[0]

    model = Last()
    model.compile("sgd", "mse")
    loss = model.evaluate(x, y, verbose=0)
    with torch.no_grad():
        outputs = model.lstm(x)
    expected = outputs[0].square().mean() + sum(0.01 * one.square().sum() / 4 for one in outputs)
    found = loss[0] if isinstance(loss, list) else loss
    assert found == pytest.approx(expected.item(), rel=1e-5)


def test_stateful_layers_of_a_functional_model_begin_with_zeros():
    x = numbers(4, 6, 3)
    for make in (lambda: LSTM(5, stateful=True), lambda: RNN([GRUCell(4), LSTMCell(5)], stateful=True)):
        layer = make()
        inputs = kt.Input((6, 3))
        model = kt.Model(inputs, layer(inputs))
        with torch.no_grad():
            first, second = model(x), model(x)
        assert not torch.equal(first, second)
        layer.reset_state()
        with torch.no_grad():
            torch.testing.assert_close(layer(x), first)


def test_a_mask_of_a_functional_model_reaches_a_recurrent_layer_and_ends_there():
    tokens, keep = numbers(4, 6, 3), torch.arange(6) < torch.tensor([[2], [6], [4], [1]])
    x, mask = kt.Input((6, 3), name="x"), kt.Input((6,), torch.bool, name="keep")
    layers = [GRU(5, return_sequences=True), LSTM(4)]
    middle = layers[0](x, mask=mask)
    assert middle.mask is mask
    out = layers[1](middle)
    assert out.mask is None
    model = kt.Model([x, mask], out)
    expected = torch.cat([layers[1](layers[0](row[k][None])) for row, k in zip(tokens, keep, strict=True)])
    torch.testing.assert_close(model(tokens, keep), expected)


def test_a_stateful_layer_behind_a_mask_learns_in_fit():
    model = kt.Sequential([kt.layers.Embedding(9, 4, mask_zero=True), LSTM(3, stateful=True), kt.layers.Dense(1)])
    model.compile("sgd", "mse")
    x = np.arange(40).reshape(8, 5) % 9
    model.fit(x, np.ones(8), batch_size=4, shuffle=False, verbose=0)
    assert model[1].get_buffer("state_0").shape == (4, 3)


def test_a_stateful_layer_with_states_is_called_on_symbols():
    layer = LSTM(3, stateful=True)
    layer(numbers(4, 5, 2))
    kept = layer.get_buffer("state_0").clone()
    x = kt.Input((5, 2))
    assert kt.Model(x, layer(x)).output_shape == (None, 3)
    assert torch.equal(layer.get_buffer("state_0"), kept)
