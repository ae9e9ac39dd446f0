"""Losses under Keras' names: each is its formula, reduced and weighted by Keras' rules, and nothing is broadcast."""

import math

import numpy as np
import pytest
import torch
from scipy import special
from scipy.spatial import distance
from sklearn import metrics as sk

from kerastorch import losses

EPSILON = 1e-7
REDUCTIONS = ["sum_over_batch_size", "mean", "mean_with_sample_weight", "sum", "none", None]


def _rng():
    return np.random.default_rng(0)


def _double(array):
    return torch.tensor(array, dtype=torch.float64)


def _values():
    rng = _rng()
    return _double(rng.normal(size=(8, 3)) * 3), _double(rng.normal(size=(8, 3)) * 3)


def _positive():
    y, p = _values()
    return y.abs() + 0.1, p.abs() + 0.1


def _distributions():
    rng = _rng()
    return _double(rng.dirichlet([1, 1, 1], 8)), _double(rng.dirichlet([1, 1, 1], 8))


def _signs():
    y, p = _values()
    return y.sign(), p


def _binary():
    rng = _rng()
    return _double(rng.integers(0, 2, (8, 3))), _double(rng.uniform(0.02, 0.98, (8, 3)))


def _binary_logits():
    return _binary()[0], _values()[1]


def _one_hot():
    return torch.eye(3, dtype=torch.float64)[_classes()[0]], _classes()[1]


def _one_hot_logits():
    return _one_hot()[0], _values()[1]


def _classes():
    return torch.tensor(_rng().integers(0, 3, 8)), _distributions()[1]


def _class_logits():
    return _classes()[0], _values()[1]


def _unnormalised():
    y, p = _one_hot()
    return y, 0.7 * p


def _cross(y, p):
    return -(y * (p / p.sum(-1, keepdim=True)).log()).sum(-1)  # Keras divides probabilities by their sum


def _binary_cross(y, p):
    return -(y * p.log() + (1 - y) * (1 - p).log()).mean(-1)


def _picked(y, p):
    return torch.stack([(row.sum() / row[int(label)]).log() for label, row in zip(y, p, strict=True)])


def _huber(error, delta):
    return torch.where(error.abs() <= delta, error.square() / 2, delta * (error.abs() - delta / 2)).mean(-1)


def _unit(x):
    return x / x.square().sum(-1, keepdim=True).sqrt()


def _normalized(p):
    return p / p.sum(-1, keepdim=True)


def _right(y, p):
    return y * p + (1 - y) * (1 - p)


def _of_class(y, p):
    return torch.stack([row[int(label)] for label, row in zip(y, p, strict=True)])


ALPHA = [0.2, 0.5, 1.5]
# loss, its data, and one value for each sample written out
FORMULAS = {
    "mse": (losses.MeanSquaredError, {}, _values, lambda y, p: ((y - p) ** 2).mean(-1)),
    "mae": (losses.MeanAbsoluteError, {}, _values, lambda y, p: (y - p).abs().mean(-1)),
    "mape": (
        losses.MeanAbsolutePercentageError,
        {},
        _values,
        lambda y, p: 100 * ((y - p).abs() / y.abs()).mean(-1),
    ),
    "msle": (
        losses.MeanSquaredLogarithmicError,
        {},
        _positive,
        lambda y, p: ((1 + y).log() - (1 + p).log()).square().mean(-1),
    ),
    "huber": (losses.Huber, {}, _values, lambda y, p: _huber(y - p, 1.0)),
    "huber-delta": (losses.Huber, {"delta": 2.5}, _values, lambda y, p: _huber(y - p, 2.5)),
    "log_cosh": (losses.LogCosh, {}, _values, lambda y, p: (y - p).cosh().log().mean(-1)),
    "poisson": (losses.Poisson, {}, _positive, lambda y, p: (p - y * (p + EPSILON).log()).mean(-1)),
    "kld": (losses.KLDivergence, {}, _distributions, lambda y, p: (y * (y.log() - p.log())).sum(-1)),
    "cosine": (losses.CosineSimilarity, {}, _values, lambda y, p: -(_unit(y) * _unit(p)).sum(-1)),
    "hinge": (losses.Hinge, {}, _signs, lambda y, p: torch.relu(1 - y * p).mean(-1)),
    "hinge-01": (losses.Hinge, {}, _binary_logits, lambda y, p: torch.relu(1 - (2 * y - 1) * p).mean(-1)),
    "squared_hinge": (losses.SquaredHinge, {}, _signs, lambda y, p: torch.relu(1 - y * p).square().mean(-1)),
    "squared_hinge-01": (
        losses.SquaredHinge,
        {},
        _binary_logits,
        lambda y, p: torch.relu(1 - (2 * y - 1) * p).square().mean(-1),
    ),
    "categorical_hinge": (
        losses.CategoricalHinge,
        {},
        _one_hot_logits,
        lambda y, p: torch.relu(((1 - y) * p).max(-1).values - (y * p).sum(-1) + 1),
    ),
    "binary": (losses.BinaryCrossentropy, {}, _binary, _binary_cross),
    "binary-smooth": (
        losses.BinaryCrossentropy,
        {"label_smoothing": 0.2},
        _binary,
        lambda y, p: _binary_cross(0.8 * y + 0.1, p),
    ),
    "binary-logits": (
        losses.BinaryCrossentropy,
        {"from_logits": True},
        _binary_logits,
        lambda y, p: _binary_cross(y, 1 / (1 + (-p).exp())),
    ),
    "categorical": (losses.CategoricalCrossentropy, {}, _one_hot, _cross),
    "categorical-soft": (losses.CategoricalCrossentropy, {}, _distributions, _cross),
    "categorical-unnormalised": (
        losses.CategoricalCrossentropy,
        {},
        _unnormalised,
        _cross,
    ),
    "categorical-smooth": (
        losses.CategoricalCrossentropy,
        {"label_smoothing": 0.3},
        _one_hot,
        lambda y, p: _cross(0.7 * y + 0.1, p),
    ),
    "categorical-logits": (
        losses.CategoricalCrossentropy,
        {"from_logits": True},
        _one_hot_logits,
        lambda y, p: _cross(y, p.exp()),
    ),
    "sparse": (losses.SparseCategoricalCrossentropy, {}, _classes, _picked),
    "sparse-logits": (
        losses.SparseCategoricalCrossentropy,
        {"from_logits": True},
        _class_logits,
        lambda y, p: _picked(y, p.exp()),
    ),
    "binary-focal": (
        losses.BinaryFocalCrossentropy,
        {},
        _binary,
        lambda y, p: -((1 - _right(y, p)) ** 2 * _right(y, p).log()).mean(-1),
    ),
    "binary-focal-balanced": (
        losses.BinaryFocalCrossentropy,
        {"apply_class_balancing": True, "alpha": 0.1, "gamma": 0.5},
        _binary,
        lambda y, p: (
            -((0.1 * y + 0.9 * (1 - y)) * (1 - _right(y, p)) ** 0.5 * (y * p.log() + (1 - y) * (1 - p).log())).mean(-1)
        ),
    ),
    "binary-focal-logits-smooth": (
        losses.BinaryFocalCrossentropy,
        {"from_logits": True, "label_smoothing": 0.2, "gamma": 3},
        _binary_logits,
        lambda y, z: (
            (1 - _right(0.8 * y + 0.1, z.sigmoid())) ** 3
            * -((0.8 * y + 0.1) * z.sigmoid().log() + (0.9 - 0.8 * y) * (1 - z.sigmoid()).log())
        ).mean(-1),
    ),
    "categorical-focal": (
        losses.CategoricalFocalCrossentropy,
        {},
        _one_hot,
        lambda y, p: 0.25 * (1 - (y * _normalized(p)).sum(-1)) ** 2 * _cross(y, p),
    ),
    "categorical-focal-soft": (
        losses.CategoricalFocalCrossentropy,
        {"alpha": ALPHA, "gamma": 1.5},
        _distributions,
        lambda y, p: -(_double(ALPHA) * (1 - _normalized(p)) ** 1.5 * y * _normalized(p).log()).sum(-1),
    ),
    "categorical-focal-logits-smooth": (
        losses.CategoricalFocalCrossentropy,
        {"alpha": ALPHA, "from_logits": True, "label_smoothing": 0.3},
        _one_hot_logits,
        lambda y, z: -(_double(ALPHA) * (1 - z.softmax(-1)) ** 2 * (0.7 * y + 0.1) * z.softmax(-1).log()).sum(-1),
    ),
    "generalized": (
        losses.CategoricalGeneralizedCrossEntropy,
        {},
        _classes,
        lambda y, p: 2 * (1 - _of_class(y, p).sqrt()),
    ),
    "generalized-q": (
        losses.CategoricalGeneralizedCrossEntropy,
        {"q": 0.9},
        _classes,
        lambda y, p: (1 - _of_class(y, p) ** 0.9) / 0.9,
    ),
}

ALIASES = {
    "mse": losses.MeanSquaredError,
    "mean_squared_error": losses.MeanSquaredError,
    "MeanSquaredError": losses.MeanSquaredError,
    "MSE": losses.MeanSquaredError,
    "mae": losses.MeanAbsoluteError,
    "mean_absolute_error": losses.MeanAbsoluteError,
    "mape": losses.MeanAbsolutePercentageError,
    "mean_absolute_percentage_error": losses.MeanAbsolutePercentageError,
    "msle": losses.MeanSquaredLogarithmicError,
    "mean_squared_logarithmic_error": losses.MeanSquaredLogarithmicError,
    "huber": losses.Huber,
    "log_cosh": losses.LogCosh,
    "logcosh": losses.LogCosh,
    "LogCosh": losses.LogCosh,
    "poisson": losses.Poisson,
    "kld": losses.KLDivergence,
    "KLDivergence": losses.KLDivergence,
    "kl_divergence": losses.KLDivergence,
    "kullback_leibler_divergence": losses.KLDivergence,
    "cosine_similarity": losses.CosineSimilarity,
    "hinge": losses.Hinge,
    "squared_hinge": losses.SquaredHinge,
    "categorical_hinge": losses.CategoricalHinge,
    "binary_crossentropy": losses.BinaryCrossentropy,
    "BinaryCrossentropy": losses.BinaryCrossentropy,
    "categorical_crossentropy": losses.CategoricalCrossentropy,
    "sparse_categorical_crossentropy": losses.SparseCategoricalCrossentropy,
    "SparseCategoricalCrossentropy": losses.SparseCategoricalCrossentropy,
    "binary_focal_crossentropy": losses.BinaryFocalCrossentropy,
    "BinaryFocalCrossentropy": losses.BinaryFocalCrossentropy,
    "categorical_focal_crossentropy": losses.CategoricalFocalCrossentropy,
    "CategoricalFocalCrossentropy": losses.CategoricalFocalCrossentropy,
    "categorical_generalized_cross_entropy": losses.CategoricalGeneralizedCrossEntropy,
    "CategoricalGeneralizedCrossEntropy": losses.CategoricalGeneralizedCrossEntropy,
    "dice": losses.Dice,
    "Dice": losses.Dice,
    "tversky": losses.Tversky,
    "Tversky": losses.Tversky,
    "circle": losses.Circle,
    "Circle": losses.Circle,
    "ctc": losses.CTC,
    "CTC": losses.CTC,
}
# those that are not a formula of each row have tests in test_keras_losses.py
OF_SEVERAL_ROWS = {losses.Dice, losses.Tversky, losses.Circle, losses.CTC}


def _weights():
    return _double([0.0, 1.0, 2.0, 0.5, 3.0, 1.0, 0.0, 4.0])


def _reduced(values, weight, reduction):
    # Keras' rule: the weighted sum over the number of values, or over the sum of the weights
    if reduction == "mean_with_sample_weight" and weight is not None:
        return (values * weight).sum() / weight.sum()
    values = values if weight is None else values * weight
    if reduction in ("none", None):
        return values
    return values.sum() if reduction == "sum" else values.sum() / len(values)


def test_every_keras_class_has_a_row_in_these_tests():
    classes = {getattr(losses, name) for name in losses.__all__ if name[0].isupper() and name != "Loss"}
    assert classes == {row[0] for row in FORMULAS.values()} | OF_SEVERAL_ROWS == set(ALIASES.values())


@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("reduction", REDUCTIONS, ids=str)
@pytest.mark.parametrize(("kind", "arguments", "data", "formula"), FORMULAS.values(), ids=list(FORMULAS))
def test_a_loss_and_its_gradient_are_those_of_the_formula(kind, arguments, data, formula, reduction, weighted):
    y, p = data()
    weight = _weights() if weighted else None
    mine, theirs = (p.clone().requires_grad_() for _ in range(2))
    loss = kind(reduction=reduction, **arguments)(y, mine, weight)
    wanted = _reduced(formula(y, theirs), weight, reduction)
    torch.testing.assert_close(loss, wanted, rtol=1e-6, atol=1e-6)
    loss.sum().backward()
    wanted.sum().backward()
    torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "data", "oracle"),
    [
        ("mse", _values, sk.mean_squared_error),
        ("mae", _values, sk.mean_absolute_error),
        ("mape", _values, lambda y, p: 100 * sk.mean_absolute_percentage_error(y, p)),
        ("msle", _positive, sk.mean_squared_log_error),
        ("huber", _values, lambda y, p: special.huber(1, y - p).mean()),
        ("poisson", _positive, lambda y, p: (p - special.xlogy(y, p)).mean()),
        ("kld", _distributions, lambda y, p: special.rel_entr(y, p).sum(-1).mean()),
        (
            "cosine_similarity",
            _values,
            lambda y, p: np.mean([distance.cosine(a, b) - 1 for a, b in zip(y, p, strict=True)]),
        ),
        ("hinge", _signs, lambda y, p: sk.hinge_loss(y.ravel(), p.ravel())),
        ("binary_crossentropy", _binary, lambda y, p: sk.log_loss(y.ravel(), p.ravel())),
        ("categorical_crossentropy", _one_hot, sk.log_loss),
        ("sparse_categorical_crossentropy", _classes, lambda y, p: sk.log_loss(y, p, labels=[0, 1, 2])),
    ],
)
def test_a_named_loss_is_that_of_numpy_scipy_or_scikit_learn(name, data, oracle):
    y, p = data()
    np.testing.assert_allclose(losses.get(name)(y, p).item(), oracle(y.numpy(), p.numpy()), rtol=1e-5)


@pytest.mark.parametrize(("name", "kind"), ALIASES.items())
def test_get_makes_the_class_of_a_name_with_its_defaults(name, kind):
    loss = losses.get(name)
    assert type(loss) is kind
    assert loss.reduction == "sum_over_batch_size"
    assert loss.from_logits == (kind is losses.CTC)
    assert type(losses.get(kind)) is kind


def test_get_keeps_an_instance():
    loss = losses.Huber(0.5)
    assert losses.get(loss) is loss


@pytest.mark.parametrize(
    ("wrong", "near"),
    [
        ("msee", "mse"),
        ("sparse_categorical_crossentropi", "sparse_categorical_crossentropy"),
        ("binary_crosentropy", "binary_"),
    ],
)
def test_an_unknown_name_suggests_the_nearest(wrong, near):
    with pytest.raises(ValueError, match=f"Unknown loss '{wrong}'. Did you mean '{near}.*Known: .*mae"):
        losses.get(wrong)


@pytest.mark.parametrize("wrong", [None, 3, ["mse"]])
def test_what_is_no_loss_is_refused(wrong):
    with pytest.raises(TypeError, match="A loss is a name, a class, an instance or a callable, got"):
        losses.get(wrong)


def test_an_unknown_reduction_is_refused():
    with pytest.raises(ValueError, match=r"reduction must be one of 'sum_over_batch_size', .*got 'average'"):
        losses.MeanSquaredError(reduction="average")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: losses.BinaryCrossentropy(label_smoothing=1.5), "label_smoothing must be .*<= 1, got 1.5"),
        (lambda: losses.CategoricalCrossentropy(label_smoothing=-0.1), "label_smoothing must be .*>= 0"),
        (lambda: losses.BinaryFocalCrossentropy(gamma=-1), "gamma must be a finite number >= 0, got -1"),
        (lambda: losses.BinaryFocalCrossentropy(alpha=1.5), "alpha must be .*<= 1, got 1.5"),
        (lambda: losses.CategoricalFocalCrossentropy(alpha=[0.1, -1]), "a factor of alpha must be .*>= 0, got -1"),
        (lambda: losses.CategoricalFocalCrossentropy(alpha=[]), r"alpha must be a number or a list .*, got \[\]"),
        (lambda: losses.CategoricalFocalCrossentropy(alpha="a"), "alpha must be a finite number >= 0, got 'a'"),
        (lambda: losses.CategoricalGeneralizedCrossEntropy(1.0), "q must be a finite number > 0 and < 1, got 1"),
        (lambda: losses.CategoricalGeneralizedCrossEntropy(0), "q must be a finite number > 0 and < 1, got 0"),
        (lambda: losses.Dice(axis="all"), "axis must be an integer, a tuple of integers or None, got 'all'"),
        (lambda: losses.Tversky(axis=(1, True)), "axis must be an integer, a tuple of integers or None"),
        (lambda: losses.Tversky(alpha=-1), "alpha must be a finite number >= 0, got -1"),
        (lambda: losses.Circle(gamma=0), "gamma must be a finite number > 0, got 0"),
        (lambda: losses.Loss("my_loss"), "reduction must be one of .*got 'my_loss'. Is it a name.*name='my_loss'"),
        (lambda: losses.Huber(delta=0), "delta must be a finite number > 0, got 0"),
        (lambda: losses.Huber(delta=math.nan), "delta must be a finite number > 0, got nan"),
    ],
)
def test_arguments_out_of_range_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# links


@pytest.mark.parametrize(
    ("kind", "data", "link"),
    [
        (losses.BinaryCrossentropy, _binary_logits, torch.sigmoid),
        (losses.CategoricalCrossentropy, _one_hot_logits, lambda z: torch.softmax(z, -1)),
        (losses.SparseCategoricalCrossentropy, _class_logits, lambda z: torch.softmax(z, -1)),
    ],
)
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
def test_logits_and_their_probabilities_give_one_loss(kind, data, link, weighted):
    y, z = data()
    weight = _weights() if weighted else None
    torch.testing.assert_close(kind(from_logits=True)(y, z, weight), kind()(y, link(z), weight))
    twin = kind().on_logits()
    torch.testing.assert_close(twin(y, z, weight), kind()(y, link(z), weight))


def test_on_logits_leaves_the_loss_as_it_is_and_is_none_where_there_is_nothing_to_gain():
    loss = losses.BinaryCrossentropy(label_smoothing=0.2)
    twin = loss.on_logits()
    assert (loss.from_logits, twin.from_logits, twin.label_smoothing) == (False, True, 0.2)
    assert twin.on_logits() is None
    assert losses.MeanSquaredError().on_logits() is None


@pytest.mark.parametrize(
    ("loss", "y", "z", "value", "gradient"),
    [
        (losses.BinaryCrossentropy(True), [[0.0]], [[1e4]], 1e4, [[1.0]]),
        (losses.BinaryCrossentropy(True), [[1.0]], [[1e4]], 0.0, [[0.0]]),
        (losses.CategoricalCrossentropy(True), [[1.0, 0.0]], [[0.0, 1e4]], 1e4, [[-1.0, 1.0]]),
        (losses.SparseCategoricalCrossentropy(True), [0], [[0.0, 1e4]], 1e4, [[-1.0, 1.0]]),
        (losses.LogCosh(), [[0.0]], [[1e4]], 1e4 - math.log(2), [[1.0]]),
    ],
)
def test_extreme_outputs_give_the_exact_loss_and_gradient(loss, y, z, value, gradient):
    z = torch.tensor(z, requires_grad=True)
    result = loss(torch.tensor(y), z)
    result.backward()
    assert result.item() == pytest.approx(value)
    torch.testing.assert_close(z.grad, torch.tensor(gradient))


@pytest.mark.parametrize(
    ("loss", "y", "p"),
    [
        (losses.BinaryCrossentropy(), [[0.0]], [[1.0]]),
        (losses.BinaryCrossentropy(), [[1.0]], [[0.0]]),
        (losses.CategoricalCrossentropy(), [[1.0, 0.0]], [[0.0, 1.0]]),
        (losses.SparseCategoricalCrossentropy(), [0], [[0.0, 1.0]]),
        (losses.KLDivergence(), [[1.0, 0.0]], [[0.0, 1.0]]),
    ],
)
def test_probabilities_of_zero_cost_minus_the_log_of_1e_7(loss, y, p):
    assert loss(torch.tensor(y), _double(p)).item() == pytest.approx(-math.log(EPSILON), rel=1e-4)


# weights and reductions


@pytest.mark.parametrize("reduction", REDUCTIONS, ids=str)
@pytest.mark.parametrize(("kind", "arguments", "data", "formula"), FORMULAS.values(), ids=list(FORMULAS))
def test_weights_of_one_change_nothing(kind, arguments, data, formula, reduction):
    y, p = data()
    loss = kind(reduction=reduction, **arguments)
    torch.testing.assert_close(loss(y, p, torch.ones(len(y))), loss(y, p))


def test_weights_may_be_one_for_each_sample_a_column_or_one_for_each_value():
    y, p = _double(_rng().normal(size=(2, 8, 3))).unbind()
    y3, p3 = y.reshape(4, 2, 3), p.reshape(4, 2, 3)
    each = ((y3 - p3) ** 2).mean(-1)
    loss = losses.MeanSquaredError()
    torch.testing.assert_close(loss(y, p, _weights()[:, None]), loss(y, p, _weights()))
    torch.testing.assert_close(loss(y3, p3, _weights()[:4]), (each * _weights()[:4, None]).mean())
    torch.testing.assert_close(loss(y3, p3, _weights().reshape(4, 2)), (each * _weights().reshape(4, 2)).mean())
    over_weights = losses.MeanSquaredError(reduction="mean_with_sample_weight")
    weight = _weights()[:4, None].expand(4, 2)
    torch.testing.assert_close(over_weights(y3, p3, _weights()[:4]), (each * weight).sum() / weight.sum())


def test_integer_weights_are_weights():
    y, p = _values()
    whole = torch.arange(8)
    torch.testing.assert_close(losses.MeanSquaredError()(y, p, whole), losses.MeanSquaredError()(y, p, whole.double()))


@pytest.mark.parametrize("shape", [(7,), (1,), (8, 3), (3,), (1, 8)])
def test_weights_of_another_shape_are_refused(shape):
    y, p = _values()
    with pytest.raises(ValueError, match=r"sample_weight has shape .*give one weight for each sample, shape \(8,\)"):
        losses.MeanSquaredError()(y, p, torch.ones(shape))


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "mean_with_sample_weight"])
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("ignore", [None, 2])
def test_batches_averaged_by_their_counts_are_the_loss_of_the_whole(reduction, weighted, ignore):
    y, z = _class_logits()
    y = torch.tensor([0, 1, 2, 2, 2, 1, 0, 0])
    weight = _weights() if weighted else None
    loss = losses.SparseCategoricalCrossentropy(True, ignore, reduction)
    total = count = 0.0
    for rows in (slice(0, 3), slice(3, 6), slice(6, 8)):
        part = None if weight is None else weight[rows]
        n = float(loss.count(y[rows], part))
        total, count = total + n * float(loss(y[rows], z[rows], part)), count + n
    assert total / count == pytest.approx(float(loss(y, z, weight)))


# ignored classes


@pytest.mark.parametrize("from_logits", [False, True])
@pytest.mark.parametrize("ignored", [-1, 2, 255])
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "mean_with_sample_weight", "sum"])
def test_an_ignored_class_counts_as_if_its_samples_were_not_there(reduction, weighted, ignored, from_logits):
    y, z = _class_logits()
    z = z.requires_grad_()
    p = z if from_logits else z.softmax(-1)
    y = torch.tensor([0, ignored, 1, ignored, 1, 0, 1, ignored])
    kept = y != ignored
    weight = _weights() + 0.5 if weighted else None
    loss = losses.SparseCategoricalCrossentropy(from_logits, ignored, reduction)(y, p, weight)
    plain = losses.SparseCategoricalCrossentropy(from_logits, None, reduction)
    wanted = plain(y[kept], p[kept], None if weight is None else weight[kept])
    torch.testing.assert_close(loss, wanted)
    (gradient,) = torch.autograd.grad(loss, z)
    assert (gradient[~kept] == 0).all()


def test_an_ignored_sample_is_a_zero_where_nothing_is_reduced():
    y, z = torch.tensor([0, 9, 1]), _values()[1][:3]
    loss = losses.SparseCategoricalCrossentropy(True, ignore_class=9, reduction="none")
    assert loss(y, z).tolist()[1] == 0
    assert loss(y, z, torch.ones(3)).tolist()[1] == 0
    assert (loss(y, z)[[0, 2]] > 0).all()


@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "mean_with_sample_weight", "sum"])
def test_a_batch_of_ignored_samples_costs_nothing(reduction, weighted):
    z = _values()[1].requires_grad_()
    loss = losses.SparseCategoricalCrossentropy(True, ignore_class=9, reduction=reduction)
    result = loss(torch.full((8,), 9), z, _weights() if weighted else None)
    result.backward()
    assert result.item() == 0
    assert (z.grad == 0).all()


@pytest.mark.parametrize("column", [False, True])
def test_an_ignored_class_may_stand_in_a_column(column):
    y, z = torch.tensor([0, 9, 1, 9]), _values()[1][:4]
    loss = losses.SparseCategoricalCrossentropy(True, ignore_class=9)
    weight = torch.tensor([1.0, 5.0, 3.0, 5.0])
    log_p = z.log_softmax(-1)
    wanted = -(log_p[0, 0] + 3 * log_p[2, 1]) / 2
    torch.testing.assert_close(loss(y[:, None] if column else y, z, weight), wanted)


# shapes


@pytest.mark.parametrize(("y_shape", "p_shape"), [((8, 1), (8,)), ((8,), (8, 1)), ((4, 2), (4, 2, 1))])
@pytest.mark.parametrize("name", ["mse", "mae", "huber", "log_cosh", "binary_crossentropy"])
def test_a_trailing_axis_of_one_may_come_or_go(name, y_shape, p_shape):
    y, p = (part[:, 0] for part in _binary())
    loss = losses.get(name)
    torch.testing.assert_close(loss(y.reshape(y_shape), p.reshape(p_shape)), loss(y, p))
    torch.testing.assert_close(loss(y.reshape(y_shape), p.reshape(p_shape), torch.ones(y_shape[0])), loss(y, p))


@pytest.mark.parametrize(
    ("y_shape", "p_shape"),
    [
        ((8,), (8, 8)),
        ((8, 1), (8, 8)),
        ((8, 8), (8, 1)),
        ((1, 3), (8, 3)),
        ((7, 3), (8, 3)),
        ((3,), (8, 3)),
        ((), (8,)),
    ],
)
@pytest.mark.parametrize("name", ["mse", "mae", "huber", "binary_crossentropy", "hinge", "poisson"])
def test_a_loss_is_never_broadcast(name, y_shape, p_shape):
    loss = losses.get(name)
    with pytest.raises(ValueError, match=f"{loss.name}: y has shape .*Shapes must match; kerastorch never broadcasts"):
        loss(torch.ones(y_shape), torch.full(p_shape, 0.5))


def test_integers_floats_and_numpy_arrays_are_targets():
    y, p = _binary()
    wanted = losses.BinaryCrossentropy()(y, p)
    for same in (y.long(), y.float(), y.bool(), y.numpy()):
        torch.testing.assert_close(losses.BinaryCrossentropy()(same, p), wanted)


def test_class_numbers_may_be_of_any_dtype_where_they_are_whole():
    y, p = _classes()
    loss = losses.SparseCategoricalCrossentropy()
    for same in (y.int(), y.to(torch.uint8), y.float(), y.double(), y[:, None], y.numpy()):
        torch.testing.assert_close(loss(same, p), loss(y, p))


def test_numpy_targets_may_be_ignored_and_weighted():
    y, p = _classes()
    loss = losses.SparseCategoricalCrossentropy(ignore_class=1)
    torch.testing.assert_close(loss(y.numpy(), p, _weights()), loss(y, p, _weights()))


def test_float_class_numbers_that_are_not_whole_are_refused():
    with pytest.raises(ValueError, match=r"y must hold whole class numbers; y\[2\] = 1\.5"):
        losses.SparseCategoricalCrossentropy()(torch.tensor([0.0, 1.0, 1.5]), torch.full((3, 3), 1 / 3))


def test_one_hot_targets_of_the_sparse_loss_are_refused_with_a_hint():
    y, p = _one_hot()
    with pytest.raises(ValueError, match=r"looks one-hot .*y.argmax\(-1\) or loss='categorical_crossentropy'"):
        losses.SparseCategoricalCrossentropy()(y, p)


@pytest.mark.parametrize("shape", [(7,), (8, 2), (8, 3, 1)])
def test_class_numbers_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match=r"3 classes on axis -1; y must have shape \(8,\)"):
        losses.SparseCategoricalCrossentropy()(torch.zeros(shape, dtype=torch.long), _classes()[1])


@pytest.mark.parametrize("shape", [(8,), (8, 1)])
def test_class_numbers_of_the_one_hot_loss_are_refused_with_a_hint(shape):
    with pytest.raises(ValueError, match=r"needs y of shape .*Use 'sparse_categorical_crossentropy'"):
        losses.CategoricalCrossentropy()(torch.zeros(shape), _classes()[1])


@pytest.mark.parametrize("from_logits", [False, True])
@pytest.mark.parametrize("column", [False, True])
def test_the_sparse_loss_takes_sequences_and_any_class_axis(from_logits, column):
    z = _double(_rng().normal(size=(4, 5, 3)))
    p = z if from_logits else z.softmax(-1)
    y = torch.tensor(_rng().integers(0, 3, (4, 5)))
    wanted = losses.SparseCategoricalCrossentropy(from_logits)(y.flatten(), p.flatten(0, 1))
    last = losses.SparseCategoricalCrossentropy(from_logits)
    first = losses.SparseCategoricalCrossentropy(from_logits, axis=1)
    torch.testing.assert_close(last(y.unsqueeze(-1) if column else y, p), wanted)
    torch.testing.assert_close(first(y.unsqueeze(1) if column else y, p.movedim(-1, 1)), wanted)
    # one weight for each sequence, then one for each place
    each = losses.SparseCategoricalCrossentropy(from_logits, reduction="none")(y, p)
    assert each.shape == (4, 5)
    torch.testing.assert_close(first(y, p.movedim(-1, 1), _weights()[:4]), (each * _weights()[:4, None]).mean())
    torch.testing.assert_close(first(y, p.movedim(-1, 1), each), (each * each).mean())


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        (losses.CategoricalCrossentropy, {}),
        (losses.CategoricalCrossentropy, {"from_logits": True}),
        (losses.CategoricalCrossentropy, {"label_smoothing": 0.1}),
        (losses.CosineSimilarity, {}),
        (losses.BinaryCrossentropy, {}),
    ],
)
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
def test_an_axis_is_where_the_last_would_be(kind, arguments, weighted):
    y, p = (_double(_rng().dirichlet([1, 1, 1], (2, 4, 5)))).unbind()
    weight = _weights()[:4] if weighted else None
    wanted = kind(**arguments)(y, p, weight)
    torch.testing.assert_close(kind(axis=1, **arguments)(y.movedim(-1, 1), p.movedim(-1, 1), weight), wanted)
    each = kind(axis=1, reduction="none", **arguments)(y.movedim(-1, 1), p.movedim(-1, 1))
    assert each.shape == (4, 5)


@pytest.mark.parametrize("name", ["mse", "mae", "mape", "msle", "huber", "log_cosh", "poisson", "binary_crossentropy"])
def test_more_axes_are_averaged_alike(name):
    y, p = _binary()
    loss = losses.get(name)
    torch.testing.assert_close(loss(y.reshape(2, 2, 2, 3), p.reshape(2, 2, 2, 3)), loss(y, p))


# what the first batch is checked for


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([0, 1, 3], r"y\[2\] = 3, but the model has 3 outputs \(valid: 0\.\.2\)\.$"),
        ([0, -1, 2], r"y\[1\] = -1, but the model has 3 outputs \(valid: 0\.\.2\)\.$"),
        ([1, 2, 3], r"y\[2\] = 3, .* Labels starting at 1\? Use y - 1"),
        ([1.0, 2.0, 3.0], r"Labels starting at 1\? Use y - 1"),
        ([1, 2, 4], r"y\[2\] = 4, but the model has 3 outputs \(valid: 0\.\.2\)\.$"),
    ],
)
def test_class_numbers_out_of_range_are_refused(y, message):
    with pytest.raises(ValueError, match=message):
        losses.SparseCategoricalCrossentropy(True).check(torch.tensor(y), torch.zeros(3, 3))


def test_an_ignored_class_may_be_out_of_range():
    loss = losses.SparseCategoricalCrossentropy(True, ignore_class=255)
    loss.check(torch.tensor([0, 255, 2]), torch.zeros(3, 3))
    with pytest.raises(ValueError, match=r"y\[1\] = 254"):
        loss.check(torch.tensor([0, 254, 2]), torch.zeros(3, 3))


def test_more_targets_than_outputs_may_be_checked_at_once():
    loss = losses.SparseCategoricalCrossentropy(True)
    loss.check(torch.tensor([0, 1, 2, 1]), torch.zeros(2, 3))
    with pytest.raises(ValueError, match=r"y\[3\] = 7"):
        loss.check(torch.tensor([0, 1, 2, 7]), torch.zeros(2, 3))


@pytest.mark.parametrize(
    ("kind", "y"),
    [
        (losses.BinaryCrossentropy, [[0.0, 1.0]]),
        (losses.CategoricalCrossentropy, [[0.0, 1.0]]),
        (losses.SparseCategoricalCrossentropy, [1]),
    ],
)
@pytest.mark.parametrize("outputs", [[[-2.0, 0.5]], [[0.5, 3.0]]])
def test_outputs_that_are_no_probabilities_are_refused_unless_they_are_said_to_be_logits(kind, y, outputs):
    y, outputs = torch.tensor(y), torch.tensor(outputs)
    with pytest.raises(ValueError, match=r"expects probabilities, the model output ranges .*from_logits=True"):
        kind().check(y, outputs)
    kind(from_logits=True).check(y, outputs)
    kind().check(y, outputs.softmax(-1))


@pytest.mark.parametrize("kind", [losses.BinaryCrossentropy, losses.CategoricalCrossentropy])
def test_targets_outside_the_unit_interval_are_refused(kind):
    with pytest.raises(ValueError, match=r"needs targets in \[0, 1\]; found -1 at y\[1\]"):
        kind(from_logits=True).check(torch.tensor([[1.0, -1.0]]), torch.zeros(1, 2))


def test_the_check_of_a_value_loss_is_that_of_shapes():
    losses.MeanSquaredError().check(torch.zeros(8), torch.zeros(8, 1))
    with pytest.raises(ValueError, match="never broadcasts"):
        losses.MeanSquaredError().check(torch.zeros(8), torch.zeros(8, 2))


# losses of one's own


class _Quartic(losses.Loss):
    def call(self, y_true, y_pred):
        return (y_true - y_pred).pow(4).mean(-1)


@pytest.mark.parametrize("reduction", REDUCTIONS, ids=str)
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
def test_a_subclass_writes_call_and_gets_weights_and_reductions(reduction, weighted):
    y, p = _values()
    weight = _weights() if weighted else None
    wanted = _reduced((y - p).pow(4).mean(-1), weight, reduction)
    torch.testing.assert_close(_Quartic(reduction)(y, p, weight), wanted)


def test_a_subclass_is_named_by_its_class_unless_it_is_given_a_name():
    assert losses.get("mse").name == "mean_squared_error"
    assert losses.get(_Quartic).name.strip("_") == "quartic"
    assert _Quartic(name="fourth").name == "fourth"


def test_a_subclass_without_call_says_so():
    class Empty(losses.Loss):
        pass

    with pytest.raises(TypeError, match=r"Empty must define call\(self, y_true, y_pred\)"):
        Empty()(torch.zeros(2), torch.zeros(2))


def test_a_subclass_that_needs_arguments_is_to_be_passed_as_an_instance():
    class Scaled(losses.Loss):
        def __init__(self, factor):
            super().__init__()
            self.factor = factor

        def call(self, y_true, y_pred):
            return self.factor * (y_true - y_pred).abs()

    with pytest.raises(TypeError, match="needs arguments; pass an instance"):
        losses.get(Scaled)
    assert losses.get(Scaled(3))(torch.zeros(2), torch.ones(2)).item() == 3


def test_classes_in_the_place_of_channels_learn_in_either_memory_format():
    rng = _rng()
    p = torch.tensor(rng.dirichlet(np.ones(3), size=(2, 4, 4))).permute(0, 3, 1, 2)
    y = torch.tensor(rng.integers(0, 3, size=(2, 4, 4)))
    for kept in (p.contiguous(), p.contiguous(memory_format=torch.channels_last)):
        kept.requires_grad_()
        loss = losses.SparseCategoricalCrossentropy(axis=1)(y, kept)
        loss.backward()
        expected = -p.gather(1, y.unsqueeze(1)).log().mean()
        torch.testing.assert_close(loss.detach(), expected)
        assert kept.grad.isfinite().all()


def test_class_numbers_of_images_tell_the_class_axis_or_are_refused_by_their_shape():
    p = torch.full((2, 3, 4, 4), 1 / 3)
    for shape in ((2, 4, 4), (2, 1, 4, 4)):
        losses.SparseCategoricalCrossentropy().check(torch.zeros(shape, dtype=torch.int64), p)
    with pytest.raises(ValueError, match=r"must have shape \(2, 3, 4\)\.$"):
        losses.SparseCategoricalCrossentropy().check(torch.zeros(2, 5, dtype=torch.int64), p)
