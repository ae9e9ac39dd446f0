"""Compute the values of Keras' metrics for `metric_cases.py`, and store them with the data in `metric_values.json`.

To make the file again, install Keras 3 and torch into an environment of their own, and run there:

    KERAS_BACKEND=torch python tests/support/make_metric_values.py
"""

import json
import pathlib

import numpy as np

BATCHES, ROWS = 3, 8
STEPS = ("sparse_steps", "one_hot_steps")
HERE = pathlib.Path(__file__).parent


def softmax(scores):
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def one_hot(ids, n=4):
    return np.eye(n)[ids]


def batch(rng):
    """Return the data of one batch by kind: targets, outputs, and weights of the rows and maybe of the elements."""
    uniform, normal = lambda *size: rng.random((ROWS, *size)), lambda *size: rng.normal(size=(ROWS, *size))
    labels, ids = lambda *size: rng.integers(0, 2, (ROWS, *size)), lambda *size: rng.integers(0, 4, (ROWS, *size))
    scores = softmax(1.5 * normal(4))
    sorted_ids = np.argsort(-scores, -1)
    ties = np.round(2 * uniform(4)) / 2
    kinds = {
        "numbers": (uniform(), None),
        "matrices": (normal(3), None),
        "ids": (ids(), ids()),
        "id_rows": (ids(5), ids(5)),
        "binary": (labels(1), uniform(1)),
        "binary_vector": (labels(), uniform()),
        "binary_logits": (labels(1), 2 * normal(1)),
        "labels": (labels(3), uniform(3)),
        "one_hot": (one_hot(ids()), softmax(1.5 * normal(4))),
        "one_hot_logits": (one_hot(ids()), 2 * normal(4)),
        "one_hot_steps": (one_hot(ids(5)), softmax(1.5 * normal(5, 4))),
        "one_hot_ties": (one_hot(ids()), ties),
        "one_hot_ids": (one_hot(ids()), ids()),
        "distributions": (softmax(normal(4)), softmax(normal(4))),
        "sparse": (ids(), scores),
        "sparse_column": (ids(1), softmax(1.5 * normal(4))),
        "sparse_logits": (ids(), 2 * normal(4)),
        "sparse_steps": (ids(5), softmax(1.5 * normal(5, 4))),
        "sparse_ties": (ids(), ties),
        "sorted_ids": (ids(), sorted_ids[:, :3]),
        "values": (normal(3), normal(3)),
        "value_steps": (normal(5, 3), normal(5, 3)),
        "column": (normal(1), normal(1)),
        "positive": (rng.poisson(2.0, (ROWS, 2)), 3 * uniform(2)),
        "signs": (2 * labels(2) - 1, normal(2)),
    }
    return {
        name: {
            "y_true": np.round(y_true, 4).tolist(),
            "y_pred": None if y_pred is None else np.round(y_pred, 4).tolist(),
            "weight": np.round(2 * rng.random(ROWS), 2).tolist(),
            "step_weight": np.round(2 * rng.random((ROWS, 5)), 2).tolist(),
        }
        for name, (y_true, y_pred) in kinds.items()
    }


def value(metric):
    found = np.asarray(metric.result().detach().cpu() if hasattr(metric.result(), "detach") else metric.result())
    return [None if np.isnan(one) else float(one) for one in np.atleast_1d(found)]


def update(metric, data, weight):
    arrays = [np.asarray(data[name]) for name in ("y_true", "y_pred") if data[name] is not None]
    arrays = [one.astype("float32") if one.dtype == float else one for one in arrays]
    metric.update_state(*arrays, sample_weight=None if weight is None else np.asarray(data[weight], "float32"))


def main():
    import keras  # it is not installed where the tests run, which collect this file
    from metric_cases import CASES

    rng = np.random.default_rng(20)
    data = [batch(rng) for _ in range(BATCHES)]
    found = []
    for name, options, kinds in CASES:
        for kind in kinds:
            by_steps = kind in (*STEPS, "id_rows") and name != "IoU"
            for weight in (None, "weight", *(["step_weight"] if by_steps else [])):
                extra = {"dtype": "float32"} if "IoU" in name else {}  # Keras' default rounds weights to integers
                if weight == "weight" and "IoU" in name and kind in ("id_rows", "labels", *STEPS):
                    continue  # Keras wants a weight for each element
                metric = getattr(keras.metrics, name)(**options, **extra)
                update(metric, data[0][kind], weight)
                first = value(metric)
                for one in data[1:]:
                    update(metric, one[kind], weight)
                found.append([name, options, kind, weight, first, value(metric)])
    kept = {"keras": keras.__version__, "data": data, "values": found}
    (HERE / "metric_values.json").write_text(json.dumps(kept).replace('[["', '\n[["').replace('], ["', '],\n["') + "\n")


if __name__ == "__main__":
    main()
