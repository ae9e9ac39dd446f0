"""Several tensors made one."""

import torch

from kerastorch.layers import Add, Average, Concatenate, Dot, Maximum, Minimum, Multiply, Subtract
from support.layer_rows.row import Row, numbers


def _three():
    return ([numbers(5, 4, seed=1), numbers(5, 4, seed=2), numbers(5, 4, seed=3)],)


def _unlike():
    """Of unlike shapes that go together: the second is `(5, 1, 4)` to the first."""
    return ([numbers(5, 3, 4, seed=1), numbers(5, 4, seed=2), numbers(5, 3, 1, seed=3)],)


def _stacked(reduce):
    return lambda layer, xs: reduce(torch.stack(torch.broadcast_tensors(*xs)))


def _dot(equation, scale=False):
    def oracle(layer, xs):
        x, y = xs
        if scale:
            x, y = (one / one.norm(dim=1, keepdim=True) for one in (x, y))
        return torch.einsum(equation, x, y)

    return oracle


ROWS = {
    "Add": Row(Add, _three, _stacked(lambda xs: xs.sum(0))),
    "Add-unlike": Row(Add, _unlike, lambda layer, xs: xs[0] + xs[1][:, None] + xs[2]),
    "Subtract": Row(Subtract, lambda: (_three()[0][:2],), lambda layer, xs: xs[0] - xs[1]),
    "Multiply": Row(Multiply, _three, _stacked(lambda xs: xs.prod(0))),
    "Average": Row(Average, _three, _stacked(lambda xs: xs.mean(0))),
    "Maximum": Row(Maximum, _three, _stacked(lambda xs: xs.max(0).values)),
    "Minimum": Row(Minimum, _three, _stacked(lambda xs: xs.min(0).values)),
    "Concatenate": Row(
        Concatenate,
        lambda: ([numbers(5, 3, 4), numbers(5, 3, 2)],),
        lambda layer, xs: torch.stack([*xs[0].unbind(2), *xs[1].unbind(2)], 2),
    ),
    "Concatenate-axis": Row(
        lambda: Concatenate(axis=1),
        lambda: ([numbers(5, 3, 4), numbers(5, 1, 4)],),
        lambda layer, xs: torch.stack([*xs[0].unbind(1), *xs[1].unbind(1)], 1),
    ),
    "Dot": Row(
        lambda: Dot(-1),
        lambda: ([numbers(5, 4), numbers(5, 4, seed=2)],),
        lambda _, xs: (xs[0] * xs[1]).sum(1, keepdim=True),
    ),
    "Dot-axes": Row(lambda: Dot((1, 2)), lambda: ([numbers(5, 3, 2), numbers(5, 4, 3, seed=2)],), _dot("bij,bki->bjk")),
    "Dot-one-vector": Row(
        lambda: Dot((1, 2)), lambda: ([numbers(5, 3), numbers(5, 4, 3, seed=2)],), _dot("bi,bki->bk")
    ),
    "Dot-many-axes": Row(
        lambda: Dot((2, 1)), lambda: ([numbers(5, 4, 3, 2), numbers(5, 3, 6, 2, seed=2)],), _dot("bikj,bkmn->bijmn")
    ),
    "Dot-cosine": Row(
        lambda: Dot(1, normalize=True),
        lambda: ([numbers(5, 3, 2), numbers(5, 3, 4, seed=2)],),
        _dot("bij,bik->bjk", scale=True),
    ),
}
