"""Writes keras_losses.json: the losses of Keras 3 on fixed inputs, the oracle of test_keras_losses.py.

Run it in an environment with Keras 3 and torch, without kerastorch:
`KERAS_BACKEND=torch python tests/keras_losses.py`
"""

import json
import pathlib

import numpy as np

PATH = pathlib.Path(__file__).with_suffix(".json")
REDUCTIONS = ["sum_over_batch_size", "mean", "mean_with_sample_weight", "sum", "none"]
WEIGHTS = [0.0, 1.0, 2.0, 0.5, 3.0, 1.0]


def inputs():
    """Return the inputs of all cases by name: targets and outputs, float32 or integers."""
    rng = np.random.default_rng(7)
    labels = rng.integers(0, 4, 6)
    unit = rng.normal(size=(6, 5))
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    found = {
        "binary": (rng.integers(0, 2, (6, 3)), rng.uniform(0.02, 0.98, (6, 3))),
        "binary logits": (rng.integers(0, 2, (6, 3)), rng.normal(size=(6, 3)) * 2),
        "one-hot": (np.eye(4)[labels], rng.dirichlet(np.ones(4), 6)),
        "one-hot logits": (np.eye(4)[labels], rng.normal(size=(6, 4)) * 2),
        "classes": (labels, rng.dirichlet(np.ones(4), 6)),
        "images": (rng.integers(0, 2, (6, 1, 4, 5)), rng.uniform(0.02, 0.98, (6, 1, 4, 5))),
        "embeddings": (np.array([0, 1, 0, 1, 2, 0]), unit),
        "labels": (
            np.array([[1, 2, 3], [2, 2, 0], [1, 0, 0], [3, 1, 0], [1, 1, 1], [2, 0, 0]]),
            rng.normal(size=(6, 8, 4)) * 2,
        ),
    }
    return {
        name: [part if part.dtype.kind == "i" else part.astype(np.float32) for part in pair]
        for name, pair in found.items()
    }


# class, arguments and input
CASES = [
    ("BinaryFocalCrossentropy", {}, "binary"),
    ("BinaryFocalCrossentropy", {"apply_class_balancing": True, "alpha": 0.4, "gamma": 3.0}, "binary"),
    ("BinaryFocalCrossentropy", {"from_logits": True, "label_smoothing": 0.2}, "binary logits"),
    ("BinaryFocalCrossentropy", {"apply_class_balancing": True, "label_smoothing": 0.1, "axis": 0}, "binary"),
    ("BinaryFocalCrossentropy", {"gamma": 0.0, "axis": 1}, "binary"),
    ("CategoricalFocalCrossentropy", {}, "one-hot"),
    ("CategoricalFocalCrossentropy", {"alpha": [0.1, 0.2, 0.3, 0.9], "gamma": 1.5}, "one-hot"),
    ("CategoricalFocalCrossentropy", {"from_logits": True, "label_smoothing": 0.2}, "one-hot logits"),
    ("CategoricalFocalCrossentropy", {"alpha": 1.0, "gamma": 0.0, "axis": 1}, "one-hot"),
    ("CategoricalGeneralizedCrossEntropy", {}, "classes"),
    ("CategoricalGeneralizedCrossEntropy", {"q": 0.9}, "classes"),
    ("Dice", {}, "binary"),
    ("Dice", {}, "images"),
    ("Dice", {"axis": [1, 2, 3]}, "images"),
    ("Dice", {"axis": [2, 3]}, "images"),
    ("Dice", {"axis": 1}, "binary"),
    ("Tversky", {}, "images"),
    ("Tversky", {"alpha": 0.3, "beta": 0.7}, "binary"),
    ("Tversky", {"alpha": 0.9, "beta": 0.2, "axis": [1, 2, 3]}, "images"),
    ("Circle", {}, "embeddings"),
    ("Circle", {"gamma": 8.0, "margin": 0.25}, "embeddings"),
    ("Circle", {"gamma": 2.0, "remove_diagonal": False}, "embeddings"),
    ("CTC", {}, "labels"),
]

# function, arguments and input; `None` as an argument stands for the last three rows of the input
FUNCTIONS = [
    ("binary_focal_crossentropy", {"gamma": 1.0, "apply_class_balancing": True}, "binary"),
    ("categorical_focal_crossentropy", {"alpha": 0.5}, "one-hot"),
    ("categorical_generalized_cross_entropy", {"q": 0.3}, "classes"),
    ("dice", {}, "images"),
    ("dice", {"axis": [1, 2, 3]}, "images"),
    ("tversky", {"alpha": 0.2, "beta": 0.8, "axis": [2, 3]}, "images"),
    ("circle", {"gamma": 5.0}, "embeddings"),
    ("circle", {"gamma": 5.0, "ref_labels": None, "ref_embeddings": None, "remove_diagonal": False}, "embeddings"),
    ("circle", {"gamma": 5.0, "ref_labels": None, "ref_embeddings": None}, "embeddings"),
    ("ctc", {}, "labels"),
]


def references(arguments, y, p):
    """Return the arguments with the references of `circle` filled in."""
    parts = {"ref_labels": y[3:], "ref_embeddings": p[3:]}
    return {name: parts[name] if value is None else value for name, value in arguments.items()}


def rounded(tensor):
    """Return a float32 tensor as nested lists of numbers with 7 significant digits."""
    return json.loads(json.dumps(tensor.tolist()), parse_float=lambda text: float(f"{float(text):.7g}"))


def main():
    import keras
    import keras.src.losses.losses
    import torch

    data = inputs()
    classes, functions = [], []
    for name, arguments, key in CASES:
        y, p = data[key]
        # Keras takes axes as a tuple
        given = {k: tuple(v) if k == "axis" and isinstance(v, list) else v for k, v in arguments.items()}
        for reduction in REDUCTIONS:
            # Keras multiplies values by weights only where the shapes fit
            rows = getattr(keras.losses, name)(reduction="none", **given)(y, p)
            weighted = [None, WEIGHTS] if tuple(rows.shape)[:1] in ((), (6,)) else [None]
            for weights in weighted:
                outputs = torch.tensor(p, requires_grad=True)
                if rows.ndim > 1 and weights is not None:
                    sample_weight = np.array(weights, np.float32).reshape(-1, *[1] * (rows.ndim - 1))
                else:
                    sample_weight = None if weights is None else np.array(weights, np.float32)
                found = getattr(keras.losses, name)(reduction=reduction, **given)(y, outputs, sample_weight)
                (gradient,) = torch.autograd.grad(found.sum(), outputs)
                classes.append([name, arguments, key, reduction, weights, rounded(found), rounded(gradient)])
    for name, arguments, key in FUNCTIONS:
        y, p = map(torch.tensor, data[key])
        given = references(arguments, y, p)
        given = {k: tuple(v) if k == "axis" and isinstance(v, list) else v for k, v in given.items()}
        found = getattr(keras.losses, name, None) or getattr(keras.src.losses.losses, name)
        functions.append([name, arguments, key, rounded(found(y, p, **given))])
    PATH.write_text(json.dumps({"keras": keras.__version__, "classes": classes, "functions": functions}) + "\n")


if __name__ == "__main__":
    main()
