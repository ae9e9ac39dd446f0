"""Every metric class with its options, with and without weights, in one batch and in several: Keras' values.

`tests/support/make_metric_values.py` made the table with Keras 3.
"""

import json
import warnings

import numpy as np
import pytest
import torch
from support.metric_table import ROWS, TABLE, arrays, expected, name_of
from torch.utils._python_dispatch import TorchDispatchMode

import kerastorch as kt


def result(metric):
    return np.atleast_1d(metric.result().numpy())


@pytest.mark.parametrize("row", ROWS, ids=name_of)
def test_a_class_gives_the_values_of_keras_after_one_batch_and_after_several(row):
    name, options, kind, weight, first, last = row
    metric = getattr(kt.metrics, name)(**options)
    positional, named = arrays(TABLE["data"][:1], kind, weight)
    metric.update_state(*positional, **named)
    np.testing.assert_allclose(result(metric), expected(first), rtol=2e-5, atol=2e-6)
    for batch in TABLE["data"][1:]:
        positional, named = arrays([batch], kind, weight)
        metric.update_state(*map(torch.as_tensor, positional), **{k: torch.as_tensor(v) for k, v in named.items()})
    np.testing.assert_allclose(result(metric), expected(last), rtol=2e-5, atol=2e-6)
    assert metric.result().dtype == torch.float32


@pytest.mark.parametrize("row", ROWS, ids=name_of)
def test_the_value_of_a_class_does_not_depend_on_the_batches(row):
    name, options, kind, weight, *_ = row
    apart, together = getattr(kt.metrics, name)(**options), getattr(kt.metrics, name)(**options)
    positional, named = arrays(TABLE["data"], kind, weight)
    together.update_state(*positional, **named)
    for rows in (slice(0, 1), slice(1, 12), slice(12, None)):
        apart.update_state(*[one[rows] for one in positional], **{key: one[rows] for key, one in named.items()})
    np.testing.assert_allclose(result(apart), result(together), rtol=1e-6)


@pytest.mark.parametrize("row", [row for row in ROWS if row[3] is None], ids=name_of)
def test_a_class_is_made_again_from_its_config(row):
    name, options, kind, *_ = row
    metric = getattr(kt.metrics, name)(**options, name="mine")
    again = type(metric).from_config(json.loads(json.dumps(metric.get_config())))
    assert again.name == "mine"
    positional, named = arrays(TABLE["data"], kind, None)
    for one in (metric, again):
        one.update_state(*positional, **named)
    np.testing.assert_array_equal(result(again), result(metric))
    assert repr(again) == repr(metric)


@pytest.mark.parametrize("row", [row for row in ROWS if row[3] is None], ids=name_of)
def test_reset_state_starts_from_the_beginning(row):
    name, options, kind, _, first, _ = row
    metric = getattr(kt.metrics, name)(**options)
    positional, _ = arrays(TABLE["data"], kind, None)
    metric.update_state(*positional)
    metric.reset_state()
    assert all(not variable.any() for variable in metric.variables)
    positional, _ = arrays(TABLE["data"][:1], kind, None)
    with warnings.catch_warnings():
        value = metric(*positional)
    np.testing.assert_allclose(np.atleast_1d(value.numpy()), expected(first), rtol=2e-5, atol=2e-6)


class Reads(TorchDispatchMode):
    """Raises an error when a number is brought to Python, or a shape depends on numbers."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        assert func._schema.name not in ("aten::_local_scalar_dense", "aten::nonzero", "aten::bincount", "aten::equal")
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("row", [row for row in ROWS if row[3] != "step_weight"], ids=name_of)
def test_an_update_reads_no_number_from_the_device(row):
    name, options, kind, weight, *_ = row
    metric = getattr(kt.metrics, name)(**options)
    positional, named = arrays(TABLE["data"][:1], kind, weight)
    tensors, weights = [torch.as_tensor(one) for one in positional], {k: torch.as_tensor(v) for k, v in named.items()}
    metric.update_state(*tensors, **weights)
    with Reads():
        metric.update_state(*tensors, **weights)


def test_the_table_has_every_class():
    classes = {name for name in dir(kt.metrics) if isinstance(getattr(kt.metrics, name), type)}
    assert classes - {row[0] for row in ROWS} == {"Metric", "MeanMetricWrapper"}
