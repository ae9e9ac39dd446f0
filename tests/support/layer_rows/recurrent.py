"""SimpleRNN, LSTM, GRU, RNN and the cells."""

import torch
from torch import nn

from kerastorch.layers import GRU, LSTM, RNN, GRUCell, LSTMCell, SimpleRNN, SimpleRNNCell, StackedRNNCells
from support.layer_rows.row import Row, numbers


def x():
    return (numbers(5, 6, 4),)


def masked():
    """Padding behind, in front, in the middle, nowhere, and everywhere."""
    mask = torch.tensor(
        [[1, 1, 1, 0, 0, 0], [0, 0, 1, 1, 1, 1], [1, 0, 0, 1, 0, 1], [1, 1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0]]
    ).bool()
    return numbers(5, 6, 4), None, mask


def functional(kind, layer, weights, x, states):
    """torch's own module, with the layer's weights."""
    module = kind(x.shape[-1], layer.units, bias="bias_ih_l0" in weights, batch_first=True)
    module.to(x.dtype)
    return torch.func.functional_call(module, weights, (x, states))


def by_torch(kind, nonlinearity=None, backwards=False, sequences=False, states=False):
    """What torch's module gives, each row without its masked steps alone."""
    make = (lambda *a, **k: kind(*a, nonlinearity=nonlinearity, **k)) if nonlinearity else kind

    def oracle(layer, x, initial_state=None, mask=None):
        weights = dict([*layer.named_parameters(), *layer.named_buffers()])
        rows, mask = [], torch.ones(x.shape[:2], dtype=torch.bool) if mask is None else mask
        if backwards:
            x, mask = x.flip(1), mask.flip(1)
        for index, (row, keep) in enumerate(zip(x, mask, strict=True)):
            h = torch.zeros(1, 1, layer.units, dtype=x.dtype)
            count = 2 if kind is nn.LSTM else 1
            given = [h] * count if initial_state is None else [s[index].view(1, 1, -1) for s in initial_state]
            outputs, last, at = [], given, 0
            if keep.any():
                found, last = functional(make, layer, weights, row[keep][None], tuple(given) if count > 1 else given[0])
                last = list(last) if count > 1 else [last]
            for one in keep:
                at += int(one)
                outputs.append(found[0, at - 1] if at else torch.zeros_like(h[0, 0]))
            y = torch.stack(outputs) if sequences else outputs[-1]
            rows.append((y, *(s[0, 0] for s in last)) if states else (y,))
        stacked = tuple(torch.stack(column) for column in zip(*rows, strict=True))
        return stacked if states else stacked[0]

    return oracle


def cell(kind):
    def oracle(layer, x, states):
        module = kind(x.shape[-1], layer.units, bias=layer.use_bias)
        weights = dict([*layer.named_parameters(), *layer.named_buffers()])
        found = torch.func.functional_call(module, weights, (x, tuple(states) if len(states) > 1 else states[0]))
        return (found[0], list(found)) if len(states) > 1 else (found, [found])

    return oracle


def given(count):
    return lambda: (numbers(5, 6, 4), [numbers(5, 3, seed=7 + at) for at in range(count)])


def _gru_before(layer, x):
    """The paper's equations, the reset gate before the product."""
    r_x, z_x, n_x = (x @ layer.weight_ih_l0.T + layer.bias_ih_l0).chunk(3, -1)
    r_h, z_h, n_h = layer.weight_hh_l0.chunk(3)
    h = x.new_zeros(x.shape[0], layer.units)
    for t in range(x.shape[1]):
        r, z = torch.sigmoid(r_x[:, t] + h @ r_h.T), torch.sigmoid(z_x[:, t] + h @ z_h.T)
        h = z * h + (1 - z) * torch.tanh(n_x[:, t] + (r * h) @ n_h.T)
    return h


def _lstm_relu(layer, x):
    """Equations with other activations."""
    h = c = x.new_zeros(x.shape[0], layer.units)
    for t in range(x.shape[1]):
        z = x[:, t] @ layer.weight_ih_l0.T + h @ layer.weight_hh_l0.T + layer.bias_ih_l0
        i, f, g, o = z.chunk(4, -1)
        c = torch.clamp(f / 6 + 0.5, 0, 1) * c + torch.clamp(i / 6 + 0.5, 0, 1) * g.relu()
        h = torch.clamp(o / 6 + 0.5, 0, 1) * c.relu()
    return h


def _stack(layer, x):
    gru, lstm = layer.cell.cells
    below = nn.GRU(4, 5, batch_first=True)
    above = nn.LSTM(5, 3, batch_first=True)
    weights = [{f"{n}_l0": v for n, v in [*c.named_parameters(), *c.named_buffers()]} for c in (gru, lstm)]
    y, _ = torch.func.functional_call(below, weights[0], (x,))
    return torch.func.functional_call(above, weights[1], (y,))[0]


LOOP = {"use_cudnn": False}
NOISY = {"bias_initializer": "random_normal"}

ROWS = {
    "SimpleRNN": Row(lambda: SimpleRNN(3, **NOISY), x, by_torch(nn.RNN)),
    "SimpleRNN-relu": Row(
        lambda: SimpleRNN(3, "relu", return_sequences=True), x, by_torch(nn.RNN, "relu", sequences=True)
    ),
    "SimpleRNN-masked": Row(
        lambda: SimpleRNN(3, return_sequences=True, return_state=True),
        masked,
        by_torch(nn.RNN, sequences=True, states=True),
    ),
    "LSTM": Row(lambda: LSTM(3, **NOISY), x, by_torch(nn.LSTM)),
    "LSTM-no_bias": Row(lambda: LSTM(3, use_bias=False), x, by_torch(nn.LSTM)),
    "LSTM-sequence": Row(lambda: LSTM(3, return_sequences=True), x, by_torch(nn.LSTM, sequences=True)),
    "LSTM-loop": Row(lambda: LSTM(3, return_state=True, **LOOP), x, by_torch(nn.LSTM, states=True)),
    "LSTM-backwards": Row(
        lambda: LSTM(3, return_sequences=True, return_state=True, go_backwards=True),
        masked,
        by_torch(nn.LSTM, backwards=True, sequences=True, states=True),
    ),
    "LSTM-initial_state": Row(lambda: LSTM(3, return_state=True), given(2), by_torch(nn.LSTM, states=True)),
    "LSTM-masked": Row(lambda: LSTM(3), masked, by_torch(nn.LSTM)),
    "LSTM-masked_states": Row(
        lambda: LSTM(3, return_sequences=True, return_state=True),
        masked,
        by_torch(nn.LSTM, sequences=True, states=True),
    ),
    "LSTM-masked_loop": Row(
        lambda: LSTM(3, return_sequences=True, return_state=True, **LOOP),
        masked,
        by_torch(nn.LSTM, sequences=True, states=True),
    ),
    "LSTM-zero_output": Row(
        lambda: LSTM(3, return_sequences=True, zero_output_for_mask=True),
        masked,
        lambda layer, x, none, mask: by_torch(nn.LSTM, sequences=True)(layer, x, None, mask) * mask.unsqueeze(-1),
    ),
    "LSTM-activations": Row(lambda: LSTM(3, "relu", "hard_sigmoid"), x, _lstm_relu),
    "LSTM-dropout": Row(lambda: LSTM(3, dropout=0.4), x, by_torch(nn.LSTM), training="random"),
    "LSTM-recurrent_dropout": Row(
        lambda: LSTM(3, dropout=0.4, recurrent_dropout=0.2), x, by_torch(nn.LSTM), training="random"
    ),
    "GRU": Row(lambda: GRU(3, **NOISY), x, by_torch(nn.GRU)),
    "GRU-loop": Row(lambda: GRU(3, return_sequences=True, **NOISY, **LOOP), x, by_torch(nn.GRU, sequences=True)),
    "GRU-masked": Row(
        lambda: GRU(3, return_sequences=True, return_state=True, **NOISY),
        masked,
        by_torch(nn.GRU, sequences=True, states=True),
    ),
    "GRU-initial_state": Row(lambda: GRU(3, return_state=True), given(1), by_torch(nn.GRU, states=True)),
    "GRU-reset_before": Row(lambda: GRU(3, reset_after=False, **NOISY), x, _gru_before),
    "GRU-recurrent_dropout": Row(
        lambda: GRU(3, recurrent_dropout=0.2, reset_after=False), x, _gru_before, training="random"
    ),
    "SimpleRNNCell": Row(
        lambda: SimpleRNNCell(3, **NOISY), lambda: (numbers(5, 4), [numbers(5, 3, seed=2)]), cell(nn.RNNCell)
    ),
    "LSTMCell": Row(
        lambda: LSTMCell(3, **NOISY),
        lambda: (numbers(5, 4), [numbers(5, 3, seed=2), numbers(5, 3, seed=3)]),
        cell(nn.LSTMCell),
    ),
    "GRUCell": Row(lambda: GRUCell(3, **NOISY), lambda: (numbers(5, 4), [numbers(5, 3, seed=2)]), cell(nn.GRUCell)),
    "StackedRNNCells": Row(
        lambda: StackedRNNCells([GRUCell(4), GRUCell(3)]),
        lambda: (numbers(5, 4), [numbers(5, 4, seed=2), numbers(5, 3, seed=3)]),
        lambda layer, x, states: (
            (
                above := cell(nn.GRUCell)(
                    layer.cells[1], (h := cell(nn.GRUCell)(layer.cells[0], x, states[:1])[0]), states[1:]
                )[0]
            ),
            [h, above],
        ),
    ),
    "RNN": Row(lambda: RNN([GRUCell(5, **NOISY), LSTMCell(3)], return_sequences=True), x, _stack),
}
