"""MultiHeadAttention, GroupQueryAttention, Attention, AdditiveAttention."""

import torch

from kerastorch.layers import AdditiveAttention, Attention, GroupQueryAttention, MultiHeadAttention
from support.layer_rows.row import Row, numbers

VALUES = torch.tensor(
    [[1, 1, 1, 0, 0, 0], [0, 0, 1, 1, 1, 1], [1, 0, 0, 1, 0, 1], [1, 1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0]]
).bool()
QUERIES = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [1, 1, 1, 0], [0, 0, 0, 0], [1, 0, 1, 0]]).bool()
LOWER = torch.ones(4, 6, dtype=torch.bool).tril()


def _pair():
    return numbers(5, 4, 8), numbers(5, 6, 8, seed=2)


def _three():
    return numbers(5, 4, 8), numbers(5, 6, 7, seed=2), numbers(5, 6, 5, seed=3)


def _masked():
    return *_pair(), None, QUERIES, VALUES


def _scores():
    return *_pair(), None, QUERIES, VALUES, None, (numbers(5, 4, 6) > -1), True, True


def heads(count, groups, window=None):
    """The paper's formula, head by head and query by query."""

    def oracle(
        layer,
        query,
        value,
        key=None,
        query_mask=None,
        value_mask=None,
        key_mask=None,
        mask=None,
        scores=False,
        lower=False,
    ):
        key = value if key is None else key
        q, k, v = layer.query(query), layer.key(key), layer.value(value)
        size, width = q.shape[-1] // count, v.shape[-1] // groups
        allowed = torch.ones(q.shape[0], q.shape[1], k.shape[1], dtype=torch.bool)
        for one in (
            None if query_mask is None else query_mask[:, :, None],
            None if value_mask is None else value_mask[:, None, :],
            mask,
            LOWER if lower else None,
            None if window is None else (torch.arange(4)[:, None] - torch.arange(6)).abs() < window,
        ):
            allowed = allowed if one is None else allowed & one
        found, weights = [], []
        for head in range(count):
            group = head * groups // count
            a = q[..., head * size : (head + 1) * size]
            b, c = k[..., group * size : (group + 1) * size], v[..., group * width : (group + 1) * width]
            e = torch.einsum("bts,bus->btu", a, b).div(size**0.5).exp() * allowed
            w = e / e.sum(-1, keepdim=True).clamp(min=1e-30)
            weights.append(w)
            found.append(torch.einsum("btu,bus->bts", w, c))
        y = torch.cat(found, -1)
        if layer.use_gate:
            y = y * layer.gate(query)
        y = layer.attention_output(y)
        y = y if y.shape[-1] != 6 else y.reshape(*y.shape[:2], 2, 3)
        return (y, torch.stack(weights, 1)) if scores else y

    return oracle


def _list(*masks):
    return lambda: (list(_pair()), [*masks]) if masks else (list(_pair()),)


def alone(score):
    """Scores, 1e9 less where masked, softmax, weighted sum; a masked query is zero."""

    def oracle(layer, inputs, mask=None, scores=False, lower=False):
        query, value = inputs
        allowed = torch.ones(5, 4, 6, dtype=torch.bool)
        if mask is not None and mask[1] is not None:
            allowed = allowed & mask[1][:, None, :]
        if lower:
            allowed = allowed & LOWER
        e = score(layer, query, value)
        w = torch.where(allowed, e, e - 1e9).softmax(-1)
        y = torch.einsum("btu,bus->bts", w, value)
        if mask is not None and mask[0] is not None:
            y = y * mask[0].unsqueeze(-1)
        return (y, w) if scores else y

    return oracle


def _dot(layer, query, value):
    e = torch.einsum("bts,bus->btu", query, value)
    return e if layer.scale is None else e * layer.scale


def _concat(layer, query, value):
    return layer.concat_score_weight * (layer.scale * (query[:, :, None] + value[:, None])).tanh().sum(-1)


def _additive(layer, query, value):
    return (layer.scale * (query[:, :, None] + value[:, None]).tanh()).sum(-1)


NOISY = {"bias_initializer": "random_normal"}

ROWS = {
    "MultiHeadAttention": Row(lambda: MultiHeadAttention(2, 3, **NOISY), _pair, heads(2, 2)),
    "MultiHeadAttention-three": Row(
        lambda: MultiHeadAttention(2, 3, 4, use_bias=False, output_shape=(2, 3)), _three, heads(2, 2)
    ),
    "MultiHeadAttention-masked": Row(lambda: MultiHeadAttention(2, 3, **NOISY), _masked, heads(2, 2)),
    "MultiHeadAttention-scores": Row(lambda: MultiHeadAttention(2, 3), _scores, heads(2, 2)),
    "MultiHeadAttention-causal": Row(
        lambda: MultiHeadAttention(2, 3),
        lambda: (*_pair(), None, None, None, None, None, False, True),
        heads(2, 2),
    ),
    "MultiHeadAttention-window": Row(
        lambda: MultiHeadAttention(2, 3, sliding_window=2, use_gate=True), _pair, heads(2, 2, 2)
    ),
    "MultiHeadAttention-dropout": Row(
        lambda: MultiHeadAttention(2, 3, dropout=0.3), _masked, heads(2, 2), training="random"
    ),
    "MultiHeadAttention-axes": Row(
        lambda: MultiHeadAttention(2, 3, attention_axes=1),
        lambda: (numbers(5, 3, 2, 4), numbers(5, 6, 2, 4, seed=2)),
        lambda layer, query, value: torch.stack(
            [heads(2, 2)(layer, *pair) for pair in zip(query.unbind(2), value.unbind(2), strict=True)], 2
        ),
    ),
    "GroupQueryAttention": Row(lambda: GroupQueryAttention(3, 4, 2, **NOISY), _pair, heads(4, 2)),
    "GroupQueryAttention-scores": Row(lambda: GroupQueryAttention(3, 4, 1), _scores, heads(4, 1)),
    "Attention": Row(lambda: Attention(True), _list(), alone(_dot)),
    "Attention-masked": Row(lambda: Attention(True), _list(QUERIES, VALUES), alone(_dot)),
    "Attention-scores": Row(lambda: Attention(True), lambda: (list(_pair()), [None, VALUES], True, True), alone(_dot)),
    "Attention-causal": Row(lambda: Attention(True), lambda: (list(_pair()), None, False, True), alone(_dot)),
    "Attention-concat": Row(lambda: Attention(True, "concat"), _list(QUERIES, VALUES), alone(_concat)),
    "Attention-dropout": Row(lambda: Attention(True, dropout=0.3), _list(), alone(_dot), training="random"),
    "AdditiveAttention": Row(AdditiveAttention, _list(QUERIES, VALUES), alone(_additive)),
}
