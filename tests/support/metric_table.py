"""The table of Keras' metric values in `metric_values.json`, which `make_metric_values.py` made."""

import json
import pathlib

import numpy as np

TABLE = json.loads((pathlib.Path(__file__).parent / "metric_values.json").read_text())
ROWS = TABLE["values"]


def name_of(row):
    name, options, kind, weight, *_ = row
    return "-".join([name, *(f"{key}={value}" for key, value in options.items()), kind, weight or "unweighted"])


def arrays(batches, kind, weight):
    """Return targets, outputs and weights of some batches as arguments of `update_state`, joined to one batch."""
    fields = [name for name in ("y_true", "y_pred") if TABLE["data"][0][kind][name] is not None]
    joined = [np.concatenate([np.asarray(one[kind][name]) for one in batches]) for name in fields]
    joined = [one.astype("float32") if one.dtype == float else one for one in joined]
    if weight is None:
        return joined, {}
    weights = np.concatenate([np.asarray(one[kind][weight], "float32") for one in batches])
    return joined, {"sample_weight": weights}


def expected(values):
    return np.array([np.nan if one is None else one for one in values], "float32")
