"""The forms in which the same rows are given to `fit`, and the models that take them."""

from typing import Any, NamedTuple

import torch
from torch.utils import _pytree as pytree
from torch.utils.data import DataLoader, Dataset

import kerastorch as kt
from support.feature_rows.networks import with_named_inputs

ROWS, BATCH = 44, 8
X = torch.randn(ROWS, 6, generator=torch.Generator().manual_seed(0))
LABELS = X[:, :3].argmax(1)
VALUES = X.sum(1, keepdim=True)
WEIGHTS = torch.linspace(0.5, 2.0, ROWS)


class Rows(Dataset):
    """Rows in memory; `targets` has the name that the datasets of torchvision use."""

    def __init__(self, *columns):
        self.columns, self.targets = columns, columns[1]

    def __len__(self):
        return ROWS

    def __getitem__(self, index):
        return pytree.tree_map(lambda column: column[index], self.columns)


class Kind(NamedTuple):
    """A form of data.

    Args:
        given: Function of inputs, targets and weights (or `None`) that returns the arguments of `fit`.
        named_inputs: Whether the model has two inputs by name, and how it is made: `"module"` or `"functional"`.
    """

    given: Any
    named_inputs: str | None = None


def _in_memory(convert):
    def given(x, y, weight):
        x, y, weight = pytree.tree_map(convert, (x, y, weight))
        return {"x": x, "y": y, "sample_weight": weight, "batch_size": BATCH, "shuffle": False}

    return given


def columns_of(x, y, weight):
    """Return the columns that are given."""
    return (x, y) if weight is None else (x, y, weight)


def batches_of(x, y, weight):
    """Return the batches as tuples of two or three entries."""
    rows = torch.arange(ROWS).split(BATCH)
    return [pytree.tree_map(lambda column, some=some: column[some], columns_of(x, y, weight)) for some in rows]


def named(x):
    """Return two inputs by name in place of one."""
    return {"left": x[:, :2], "right": x[:, 2:]}


def _numpy(column):
    return None if column is None else column.numpy()


KINDS = {
    "arrays": Kind(_in_memory(_numpy)),
    "tensors": Kind(_in_memory(lambda column: column)),
    "dataset": Kind(lambda *given: {"x": Rows(*columns_of(*given)), "batch_size": BATCH, "shuffle": False}),
    "loader": Kind(lambda *given: {"x": DataLoader(Rows(*columns_of(*given)), BATCH)}),
    "generator": Kind(lambda *given: {"x": lambda: iter(batches_of(*given))}),
    "dict of arrays": Kind(
        lambda x, *more: _in_memory(_numpy)(named(x), *more),
        "module",
    ),
    "loader of dicts": Kind(
        lambda x, *more: {"x": DataLoader(Rows(*columns_of(named(x), *more)), BATCH)}, "functional"
    ),
}


def make_model(net, model_class, kind):
    """Return a model with the inputs that a kind of data has.

    Args:
        net: Class of the network.
        model_class: `kt.Model`, or a subclass with steps of its own.
        kind: The kind of data.
    """
    if kind.named_inputs is None:
        return model_class(net())
    if kind.named_inputs == "module":
        return model_class(with_named_inputs(net)())
    inputs = {"left": kt.Input((2,)), "right": kt.Input((4,))}
    return model_class(inputs, kt.call(net(), torch.cat([inputs["left"], inputs["right"]], 1)))
