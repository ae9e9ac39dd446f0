"""Bidirectional and TimeDistributed."""

import torch
from torch import nn
from torch.nn import functional as F

from kerastorch.layers import GRU, LSTM, RNN, Bidirectional, Dense, LSTMCell, TimeDistributed
from support.layer_rows.recurrent import masked, x
from support.layer_rows.row import Row, numbers


def _both(kind, sequences=False, states=False, merge=lambda a, b: torch.cat([a, b], -1)):
    """torch's bidirectional module, each row without its masked steps alone."""

    def oracle(layer, x, none=None, mask=None):
        units = layer.forward_layer.units
        weights = dict([*layer.forward_layer.named_parameters(), *layer.forward_layer.named_buffers()])
        behind = [*layer.backward_layer.named_parameters(), *layer.backward_layer.named_buffers()]
        weights |= {f"{name}_reverse": value for name, value in behind}
        module = kind(x.shape[-1], units, batch_first=True, bidirectional=True)
        mask = torch.ones(x.shape[:2], dtype=torch.bool) if mask is None else mask
        rows = []
        for row, keep in zip(x, mask, strict=True):
            y = torch.zeros(x.shape[1], 2 * units)
            last = [torch.zeros(units)] * (4 if kind is nn.LSTM else 2)
            if keep.any():
                found, h = torch.func.functional_call(module, weights, (row[keep][None],))
                y = y.index_put((keep,), found[0])
                pairs = h if kind is nn.LSTM else (h,)
                last = [state[way, 0] for way in (0, 1) for state in pairs]
            one, other = y.chunk(2, -1)
            if not sequences:
                one, other = last[0], last[len(last) // 2]
            rows.append((merge(one, other), *(last if states else ())))
        stacked = tuple(torch.stack(column) for column in zip(*rows, strict=True))
        return stacked if states else stacked[0]

    return oracle


def _inner_mask():
    return numbers(4, 3, 5, 2), torch.arange(5) < torch.tensor([[1, 2, 3], [5, 4, 3], [1, 1, 5], [4, 5, 2]]).unsqueeze(
        -1
    )


def _inner(layer, x, mask):
    rows = [layer.layer(row[keep][None]) for row, keep in zip(x.flatten(0, 1), mask.flatten(0, 1), strict=True)]
    return torch.cat(rows).view(4, 3, 3)


ROWS = {
    "Bidirectional": Row(lambda: Bidirectional(LSTM(3)), x, _both(nn.LSTM)),
    "Bidirectional-sequence": Row(
        lambda: Bidirectional(GRU(3, return_sequences=True), "mul"),
        x,
        _both(nn.GRU, sequences=True, merge=torch.mul),
    ),
    "Bidirectional-masked": Row(
        lambda: Bidirectional(LSTM(3, return_sequences=True, return_state=True)),
        masked,
        _both(nn.LSTM, sequences=True, states=True),
    ),
    "Bidirectional-masked_sum": Row(lambda: Bidirectional(GRU(3), "sum"), masked, _both(nn.GRU, merge=torch.add)),
    "Bidirectional-ave": Row(
        lambda: Bidirectional(GRU(3), "ave", backward_layer=GRU(3, go_backwards=True)),
        x,
        _both(nn.GRU, merge=lambda a, b: (a + b) / 2),
    ),
    "Bidirectional-none": Row(
        lambda: Bidirectional(RNN(LSTMCell(3), return_sequences=True), None),
        x,
        lambda layer, x: (layer.forward_layer(x), layer.backward_layer(x).flip(1)),
    ),
    "TimeDistributed": Row(
        lambda: TimeDistributed(Dense(3, "relu")),
        x,
        lambda layer, x: torch.stack(
            [F.relu(F.linear(x[:, t], layer.layer.weight, layer.layer.bias)) for t in range(6)], 1
        ),
    ),
    "TimeDistributed-masked": Row(lambda: TimeDistributed(LSTM(3)), _inner_mask, _inner),
}
