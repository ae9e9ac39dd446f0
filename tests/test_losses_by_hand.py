"""Losses called by hand: each is its formula in NumPy. Arrays give NumPy, a tensor anywhere gives a tensor."""

import functools

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import special
from scipy.spatial import distance

import kerastorch as kt
from kerastorch import losses

RNG = np.random.default_rng(0)
VALUES = RNG.normal(size=(6, 4)) * 2, RNG.normal(size=(6, 4)) * 2
POSITIVE = tuple(np.abs(part) + 0.1 for part in VALUES)
DISTRIBUTIONS = RNG.dirichlet([1, 1, 1, 1], 6), RNG.dirichlet([1, 1, 1, 1], 6)
LABELS = RNG.integers(0, 4, 6)
ONE_HOT = np.eye(4)[LABELS], DISTRIBUTIONS[1]
CLASSES = LABELS, DISTRIBUTIONS[1]
BINARY = RNG.integers(0, 2, (6, 4)), RNG.uniform(0.02, 0.98, (6, 4))
SIGNS = np.sign(VALUES[0]), VALUES[1]


def _cross(y, p):
    return -(y * np.log(p)).sum(-1)


def _binary_cross(y, p):
    return -(y * np.log(p) + (1 - y) * np.log(1 - p)).mean(-1)


def _binary_focal(y, p, gamma=2.0):
    missing = y * (1 - p) + (1 - y) * p
    return (missing**gamma * -(y * np.log(p) + (1 - y) * np.log(1 - p))).mean(-1)


def _categorical_focal(y, p, alpha=0.25, gamma=2.0):
    return -(alpha * (1 - p) ** gamma * y * np.log(p)).sum(-1)


# name of the function: class, arguments, data, and the value of each sample
FORMULAS = {
    "mean_squared_error": (losses.MeanSquaredError, {}, VALUES, lambda y, p: ((y - p) ** 2).mean(-1)),
    "mean_absolute_error": (losses.MeanAbsoluteError, {}, VALUES, lambda y, p: np.abs(y - p).mean(-1)),
    "mean_absolute_percentage_error": (
        losses.MeanAbsolutePercentageError, {}, VALUES, lambda y, p: 100 * np.abs((y - p) / y).mean(-1),
    ),
    "mean_squared_logarithmic_error": (
        losses.MeanSquaredLogarithmicError, {}, POSITIVE, lambda y, p: ((np.log1p(y) - np.log1p(p)) ** 2).mean(-1),
    ),
    "huber": (losses.Huber, {}, VALUES, lambda y, p: special.huber(1, y - p).mean(-1)),
    "huber ": (losses.Huber, {"delta": 0.5}, VALUES, lambda y, p: special.huber(0.5, y - p).mean(-1)),
    "log_cosh": (losses.LogCosh, {}, VALUES, lambda y, p: np.log(np.cosh(y - p)).mean(-1)),
    "poisson": (losses.Poisson, {}, POSITIVE, lambda y, p: (p - y * np.log(p)).mean(-1)),
    "kl_divergence": (losses.KLDivergence, {}, DISTRIBUTIONS, lambda y, p: special.rel_entr(y, p).sum(-1)),
    "cosine_similarity": (
        losses.CosineSimilarity, {}, VALUES,
        lambda y, p: np.array([distance.cosine(a, b) - 1 for a, b in zip(y, p, strict=True)]),
    ),
    "hinge": (losses.Hinge, {}, SIGNS, lambda y, p: np.maximum(1 - y * p, 0).mean(-1)),
    "squared_hinge": (losses.SquaredHinge, {}, SIGNS, lambda y, p: (np.maximum(1 - y * p, 0) ** 2).mean(-1)),
    "categorical_hinge": (
        losses.CategoricalHinge, {}, ONE_HOT,
        lambda y, p: np.maximum(0, ((1 - y) * p).max(-1) - (y * p).sum(-1) + 1),
    ),
    "binary_crossentropy": (losses.BinaryCrossentropy, {}, BINARY, _binary_cross),
    "binary_crossentropy ": (
        losses.BinaryCrossentropy, {"from_logits": True, "label_smoothing": 0.2}, (BINARY[0], VALUES[1]),
        lambda y, z: _binary_cross(0.8 * y + 0.1, special.expit(z)),
    ),
    "categorical_crossentropy": (losses.CategoricalCrossentropy, {}, ONE_HOT, _cross),
    "categorical_crossentropy ": (
        losses.CategoricalCrossentropy, {"from_logits": True, "label_smoothing": 0.2}, (ONE_HOT[0], VALUES[1]),
        lambda y, z: _cross(0.8 * y + 0.05, special.softmax(z, -1)),
    ),
    "sparse_categorical_crossentropy": (
        losses.SparseCategoricalCrossentropy, {}, CLASSES, lambda y, p: -np.log(p[np.arange(len(y)), y]),
    ),
    "sparse_categorical_crossentropy ": (
        losses.SparseCategoricalCrossentropy, {"from_logits": True}, (LABELS, VALUES[1]),
        lambda y, z: -special.log_softmax(z, -1)[np.arange(len(y)), y],
    ),
    "binary_focal_crossentropy": (losses.BinaryFocalCrossentropy, {}, BINARY, _binary_focal),
    "binary_focal_crossentropy ": (
        losses.BinaryFocalCrossentropy,
        {"apply_class_balancing": True, "alpha": 0.3, "gamma": 1.5, "from_logits": True},
        (BINARY[0], VALUES[1][:, :4]),
        lambda y, z: (
            np.where(y == 1, 0.3, 0.7)
            * special.expit(np.where(y == 1, -z, z)) ** 1.5
            * -special.log_expit(np.where(y == 1, z, -z))
        ).mean(-1),
    ),
    "categorical_focal_crossentropy": (losses.CategoricalFocalCrossentropy, {}, ONE_HOT, _categorical_focal),
    "categorical_focal_crossentropy ": (
        losses.CategoricalFocalCrossentropy,
        {"alpha": [0.1, 0.2, 0.3, 0.4], "gamma": 0.5, "from_logits": True, "label_smoothing": 0.2},
        (ONE_HOT[0], VALUES[1]),
        lambda y, z: _categorical_focal(0.8 * y + 0.05, special.softmax(z, -1), np.array([0.1, 0.2, 0.3, 0.4]), 0.5),
    ),
    "categorical_generalized_cross_entropy": (
        losses.CategoricalGeneralizedCrossEntropy, {"q": 0.7}, CLASSES,
        lambda y, p: (1 - p[np.arange(len(y)), y] ** 0.7) / 0.7,
    ),
}  # fmt: skip
ALL = pytest.mark.parametrize(
    ("name", "kind", "arguments", "data", "formula"),
    [(name.strip(), *row) for name, row in FORMULAS.items()],
    ids=[name + "arguments" if name.endswith(" ") else name for name in FORMULAS],
)
FORMS = {
    "float64": np.asarray,
    "float32": lambda part: part.astype(np.float32) if part.dtype.kind == "f" else part.astype(np.int32),
    "list": lambda part: part.tolist(),
    "frame": lambda part: pd.DataFrame(part) if part.ndim == 2 else pd.Series(part),
    "read-only": lambda part: np.broadcast_to(part, part.shape),
    "reversed": lambda part: part[::-1].copy()[::-1],
}


# those that are not a formula of each row have tests in test_keras_losses.py
OF_SEVERAL_ROWS = ["Circle", "CTC", "Dice", "Tversky", "circle", "ctc", "dice", "tversky"]


def test_every_class_and_every_function_has_a_row():
    public = {getattr(losses, name) for name in losses.__all__ if name not in ("Loss", "get", *OF_SEVERAL_ROWS)}
    rows = {getattr(losses, name.strip()) for name in FORMULAS}
    assert public == {row[0] for row in FORMULAS.values()} | rows
    assert losses.mse is losses.mean_squared_error
    assert losses.mae is losses.mean_absolute_error
    assert losses.mape is losses.mean_absolute_percentage_error
    assert losses.msle is losses.mean_squared_logarithmic_error
    assert losses.kld is losses.kl_divergence


@ALL
@pytest.mark.parametrize("form", FORMS)
def test_a_class_takes_arrays_and_lists(name, kind, arguments, data, formula, form):
    y, p = map(FORMS[form], data)
    found = kind(**arguments)(y, p)
    assert type(found) is np.float32
    np.testing.assert_allclose(found, formula(*data).mean(), rtol=1e-4)


@ALL
@pytest.mark.parametrize("form", FORMS)
def test_a_function_returns_the_value_of_each_sample(name, kind, arguments, data, formula, form):
    y, p = map(FORMS[form], data)
    found = getattr(losses, name)(y, p, **arguments)
    assert type(found) is np.ndarray
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, formula(*data), rtol=2e-4, atol=1e-6)


@ALL
def test_a_function_of_tensors_keeps_their_dtype_and_has_gradients(name, kind, arguments, data, formula):
    y, p = map(torch.from_numpy, data)
    p = p.clone().requires_grad_()
    found = getattr(losses, name)(y, p, **arguments)
    assert found.dtype == torch.float64
    np.testing.assert_allclose(found.detach(), formula(*data), rtol=1e-5)
    found.sum().backward()
    assert p.grad.abs().sum() > 0


@ALL
@pytest.mark.parametrize("which", [0, 1, 2], ids=["targets", "outputs", "weights"])
def test_a_tensor_anywhere_gives_a_tensor(name, kind, arguments, data, formula, which):
    given = [*data, np.ones(6)]
    given[which] = torch.from_numpy(given[which])
    found = kind(**arguments)(*given)
    assert type(found) is torch.Tensor
    np.testing.assert_allclose(found, formula(*data).mean(), rtol=1e-4)
    if which < 2:
        found = getattr(losses, name)(*given[:2], **arguments)
        assert type(found) is torch.Tensor
        np.testing.assert_allclose(found, formula(*data), rtol=2e-4, atol=1e-6)


@ALL
def test_arrays_with_weights_or_without_reduction_give_numpy(name, kind, arguments, data, formula):
    assert type(kind(**arguments)(*data, [1] * 6)) is np.float32
    found = kind(**arguments, reduction="none")(*data)
    assert type(found) is np.ndarray
    np.testing.assert_allclose(found, formula(*data), rtol=2e-4, atol=1e-6)


@ALL
def test_two_vectors_are_one_sample_of_a_function(name, kind, arguments, data, formula):
    y, p = (part[2].tolist() for part in data)
    found = getattr(losses, name)(y, p, **arguments)
    assert found.shape == ()
    np.testing.assert_allclose(found, formula(*data)[2], rtol=2e-4, atol=1e-6)


@ALL
def test_more_axes_lose_the_last_one(name, kind, arguments, data, formula):
    y, p = (np.stack([part, part[::-1]]) for part in data)
    found = getattr(losses, name)(y, p, **arguments)
    expected = formula(*data)
    np.testing.assert_allclose(found, np.stack([expected, expected[::-1]]), rtol=2e-4, atol=1e-6)


@ALL
def test_sample_weights_are_arrays_and_lists_too(name, kind, arguments, data, formula):
    weight = np.array([0, 1, 2, 3, 0, 2])
    expected = (weight * formula(*data)).sum() / 6
    for form in (weight, weight.tolist(), weight.astype(np.float64)):
        np.testing.assert_allclose(kind(**arguments)(*data, form), expected, rtol=2e-4)


@ALL
def test_a_function_given_to_compile_is_its_class_with_the_arguments_of_a_partial(name, kind, arguments, data, formula):
    function = getattr(losses, name)
    found = losses.get(functools.partial(function, **arguments) if arguments else function)
    assert type(found) is kind
    assert all(getattr(found, key) == value for key, value in arguments.items())
    assert found.reduction == "sum_over_batch_size"


@pytest.mark.parametrize("axis", [0, 1, -2])
def test_an_axis_is_that_of_the_formula(axis):
    y, p = BINARY
    elements = -(y * np.log(p) + (1 - y) * np.log(1 - p))
    np.testing.assert_allclose(losses.binary_crossentropy(y, p, axis=axis), elements.mean(axis), rtol=1e-4)
    y, p = ONE_HOT
    np.testing.assert_allclose(
        losses.categorical_crossentropy(y.T, p.T, axis=0), _cross(y, p), rtol=1e-4
    )  # classes on the first axis
    y, p = VALUES
    unit = [part / np.linalg.norm(part, axis=axis, keepdims=True) for part in (y, p)]
    np.testing.assert_allclose(losses.cosine_similarity(y, p, axis), -(unit[0] * unit[1]).sum(axis), rtol=1e-4)


def test_an_ignored_class_has_the_value_zero():
    y, p = CLASSES
    expected = np.where(y == y[0], 0, -np.log(p[np.arange(len(y)), y]))
    np.testing.assert_allclose(
        losses.sparse_categorical_crossentropy(y, p, ignore_class=int(y[0])), expected, rtol=1e-4
    )


@pytest.mark.parametrize("shapes", [((6,), (6, 1)), ((6, 1), (6,))], ids=str)
def test_a_column_beside_a_vector_is_one_value_a_sample(shapes):
    y, p = VALUES[0][:, 0], VALUES[1][:, 0]
    found = losses.mse(y.reshape(shapes[0]), p.reshape(shapes[1]))
    np.testing.assert_allclose(found, (y - p) ** 2, rtol=1e-4)


def test_the_losses_of_the_lecture_on_lists():
    assert losses.MeanSquaredError()([1.0, 2.0], [1.0, 4.0]).item() == 2.0
    assert losses.MeanAbsoluteError()([1, 2], [1, 4]).item() == 1.0
    expected = -(np.log(0.9) + np.log(0.8)) / 2
    assert losses.BinaryCrossentropy()([0, 1], [0.1, 0.8]).item() == pytest.approx(expected, rel=1e-5)
    assert losses.CategoricalCrossentropy()([0, 1, 0], [0.2, 0.7, 0.1]).item() == pytest.approx(-np.log(0.7), rel=1e-5)
    sparse = losses.SparseCategoricalCrossentropy()([1], [[0.2, 0.7, 0.1]])
    assert sparse.item() == pytest.approx(-np.log(0.7), rel=1e-5)


@pytest.mark.parametrize(
    ("name", "data", "formula"),
    [
        ("mse_loss", VALUES, lambda y, p: ((y - p) ** 2).mean()),
        ("cross_entropy", (LABELS, VALUES[1]), lambda y, z: -special.log_softmax(z, -1)[np.arange(6), y].mean()),
        ("bce_with_logits", (BINARY[0], VALUES[1]), lambda y, z: _binary_cross(y, special.expit(z)).mean()),
    ],
)
def test_losses_of_torch_take_arrays_and_lists_too(name, data, formula):
    for y, p in (data, [part.tolist() for part in data]):
        found = losses.get(name)(y, p)
        assert type(found) is np.float32
        np.testing.assert_allclose(found, formula(*data), rtol=1e-4)
        np.testing.assert_allclose(losses.get(name)(y, p, [2.0] * 6), 2 * formula(*data), rtol=1e-4)


def test_a_loss_of_ones_own_takes_arrays_and_lists_too():
    def cubic(y_true, y_pred):
        return (y_true - y_pred).abs() ** 3

    y, p = VALUES
    found = losses.get(cubic)(y.tolist(), p)
    assert type(found) is np.float32
    np.testing.assert_allclose(found, (np.abs(y - p) ** 3).mean(), rtol=1e-4)


def test_a_loss_with_parameters_gives_numpy_without_a_gradient():
    class Scaled(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = torch.nn.Parameter(torch.tensor(2.0))

        def forward(self, y_pred, y_true):
            return self.scale * (y_pred - y_true).square().mean()

    y, p = VALUES
    found = losses.get(Scaled())(y, p)
    assert type(found) is np.float32
    np.testing.assert_allclose(found, 2 * ((y - p) ** 2).mean(), rtol=1e-4)


def test_outputs_in_bfloat16_give_float32_arrays():
    torch.set_default_dtype(torch.bfloat16)
    try:
        assert losses.mse([[1.0]], [[3.0]]).tolist() == [4.0]
    finally:
        torch.set_default_dtype(torch.float32)


def test_arrays_follow_the_default_dtype_of_torch():
    torch.set_default_dtype(torch.float64)
    try:
        assert losses.mse([1.0], [2]).dtype == np.float64
        assert kt.activations.relu([1]).dtype == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


def test_tensors_keep_their_dtype_beside_arrays():
    outputs = torch.tensor(VALUES[1], requires_grad=True)
    found = losses.MeanSquaredError()(VALUES[0].tolist(), outputs)
    assert found.dtype == torch.float64
    np.testing.assert_allclose(found.detach(), ((VALUES[0] - VALUES[1]) ** 2).mean())


def test_arrays_are_not_changed_and_results_share_no_memory_with_them():
    x = np.ones(3, dtype=np.float32)
    kt.activations.linear(x)[0] = 5.0
    assert np.array_equal(x, np.ones(3))


def test_a_list_of_numbers_is_no_list_of_columns():
    with pytest.raises(ValueError, match=r"y has shape \(3,\) but the model outputs \(2,\)"):
        losses.mse([1, 2, 3], [1, 2])


@pytest.mark.parametrize(
    ("y", "p", "error", "message"),
    [
        ([1, 2], ["a", "b"], TypeError, "y_pred has dtype <U1; encode it as numbers first"),
        (["cat", "dog"], [0.1, 0.2], TypeError, "y_true has dtype <U3; encode it as numbers first"),
        ([[1], [1, 2]], [0.1, 0.2], ValueError, r"y_true\[1\] has length 2, y_true\[0\] has length 1; pad first"),
        ([1], [1j], TypeError, "y_pred is torch.complex128; kerastorch takes real numbers"),
        ([1], None, TypeError, "y_pred has dtype object"),
    ],
)
def test_what_is_no_array_of_numbers_is_refused_in_a_sentence(y, p, error, message):
    with pytest.raises(error, match=message):
        losses.MeanSquaredError()(y, p)
    with pytest.raises(error, match=message):
        losses.mse(y, p)


@pytest.mark.parametrize("loss", [losses.mse, losses.mae], ids=["mse", "mae"])
def test_a_function_trains_a_model_as_its_name_does_and_is_saved(loss, tmp_path):
    x, y = VALUES[0].astype(np.float32), VALUES[1][:, :1].astype(np.float32)
    found = []
    for given in (loss, loss.__name__):
        kt.utils.set_random_seed(0)
        model = kt.Sequential([kt.layers.Dense(1)])
        model.compile("sgd", given, metrics=[loss])
        found.append(model.fit(x, y, epochs=3, verbose=0).history)
    assert found[0] == found[1]
    assert np.allclose(found[0]["loss"], found[0][loss.__name__])
    model.compile("sgd", loss)
    model.save(tmp_path / "model.kt")
    loaded = kt.load_model(tmp_path / "model.kt")
    assert loaded.evaluate(x, y, verbose=0) == model.evaluate(x, y, verbose=0)
