"""Metrics: every name is that of scikit-learn on the whole set, whatever the loss makes of the outputs."""

import copy
import dataclasses

import numpy as np
import pytest
import torch
import torchmetrics
from scipy import stats
from sklearn import metrics as sk
from torch import nn

import kerastorch as kt
from kerastorch import losses, metrics
from kerastorch.losses import regression
from kerastorch.metrics.accumulators import named_scalars
from kerastorch.metrics.names import NAMES
from kerastorch.metrics.task import TaskSpec

N, CLASSES, LABELS = 400, 7, 3


def _rng():
    return np.random.default_rng(0)


def _binary_scores():
    rng = _rng()
    y = rng.integers(0, 2, N)
    return y, rng.normal(size=N) + 1.2 * (y - 0.4)


def _class_scores(classes):
    rng = _rng()
    y = rng.integers(0, classes, N)
    return y, rng.normal(size=(N, classes)) + 1.2 * np.eye(classes)[y]


def _label_scores():
    rng = _rng()
    y = rng.integers(0, 2, (N, LABELS))
    return y, rng.normal(size=(N, LABELS)) + 1.2 * (y - 0.3)


def _sigmoid(z):
    return 1 / (1 + np.exp(-z))


def _softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def _tensor(array):
    return torch.tensor(array)


def _value(metric, loss, outputs, y, pieces=3):
    """As an epoch does it: the target is read from the first batch, the value from all."""
    outputs, y = _tensor(outputs), _tensor(y)
    made = metrics.get(metric)
    target = TaskSpec.of(None if loss is None else losses.get(loss), outputs, y, made.is_classification)
    accumulator = made.build(target, outputs.device)
    for part, truth in zip(outputs.tensor_split(pieces), y.tensor_split(pieces), strict=True):
        accumulator.update(*target.prepare(part, truth, made.input_format))
    return accumulator.compute()


# classification: name -> scikit-learn on (y, p) with p of the second class; on (y, P); on (Y, P)


def _calibration_error(correct, confidence, bins=15):
    # Guo et al. 2017, eq. 3
    error = 0.0
    for low in np.arange(bins) / bins:
        inside = (confidence >= low) & (confidence < low + 1 / bins)
        if inside.any():
            error += inside.mean() * abs(correct[inside].mean() - confidence[inside].mean())
    return error


def _one_against_rest(score):
    return lambda y, p: np.mean([score(y == c, p[:, c]) for c in range(p.shape[1])])


def _each_label(score):
    return lambda y, p: np.mean([score(y[:, k], p[:, k]) for k in range(y.shape[1])])


def _decided(score, **options):
    return lambda y, p: score(y, p > 0.5, **options)


def _chosen(score, **options):
    return lambda y, p: score(y, p.argmax(1), **options)


def _macro(score):
    return _decided(score), _chosen(score, average="macro"), _each_label(_decided(score))


ACCURACY = (
    _decided(sk.accuracy_score),
    _chosen(sk.accuracy_score),
    lambda y, p: (y == (p > 0.5)).mean(),
)
AUC = (
    sk.roc_auc_score,
    lambda y, p: sk.roc_auc_score(y, p, multi_class="ovr", average="macro"),
    lambda y, p: sk.roc_auc_score(y, p, average="macro"),
)
SPECIFICITY = (
    _decided(sk.recall_score, pos_label=0),
    lambda y, p: np.mean([sk.recall_score(y == c, p.argmax(1) == c, pos_label=0) for c in range(p.shape[1])]),
    _each_label(_decided(sk.recall_score, pos_label=0)),
)

CLASSIFICATION = {
    "accuracy": ACCURACY,
    "acc": ACCURACY,
    "binary_accuracy": (
        ACCURACY[0],
        lambda y, p: ((p > 0.5) == np.eye(p.shape[1])[y]).mean(),
        ACCURACY[2],
    ),
    "categorical_accuracy": (None, ACCURACY[1], lambda y, p: (y.argmax(1) == p.argmax(1)).mean()),
    "sparse_categorical_accuracy": (None, ACCURACY[1], None),
    "precision": _macro(sk.precision_score),
    "recall": _macro(sk.recall_score),
    "f1": _macro(sk.f1_score),
    "f1_score": _macro(sk.f1_score),
    "auc": AUC,
    "auroc": AUC,
    "roc_auc": AUC,
    "average_precision": (
        sk.average_precision_score,
        _one_against_rest(sk.average_precision_score),
        _each_label(sk.average_precision_score),
    ),
    "specificity": SPECIFICITY,
    "cohen_kappa": (_decided(sk.cohen_kappa_score), _chosen(sk.cohen_kappa_score), None),
    "matthews_corrcoef": (
        _decided(sk.matthews_corrcoef),
        _chosen(sk.matthews_corrcoef),
        lambda y, p: sk.matthews_corrcoef(y.ravel(), p.ravel() > 0.5),
    ),
    "iou": _macro(sk.jaccard_score),
    "jaccard": _macro(sk.jaccard_score),
    "calibration_error": (
        _calibration_error,
        lambda y, p: _calibration_error(y == p.argmax(1), p.max(1)),
        None,
    ),
    "hinge_loss": (lambda y, p: sk.hinge_loss(2 * y - 1, p), sk.hinge_loss, None),
}
TOP = {
    "top_k_categorical_accuracy": 5,
    "sparse_top_k_categorical_accuracy": 5,
    "top5": 5,
    "top_5": 5,
    "top_5_accuracy": 5,
    "top3": 3,
    "top_3": 3,
    "top_3_accuracy": 3,
    "top2": 2,
    "top_2": 2,
    "top_2_accuracy": 2,
}
REGRESSION = {
    "mean_squared_error": sk.mean_squared_error,
    "mse": sk.mean_squared_error,
    "root_mean_squared_error": lambda y, p: np.sqrt(sk.mean_squared_error(y, p)),
    "rmse": lambda y, p: np.sqrt(sk.mean_squared_error(y, p)),
    "mean_absolute_error": sk.mean_absolute_error,
    "mae": sk.mean_absolute_error,
    "mean_squared_logarithmic_error": sk.mean_squared_log_error,
    "msle": sk.mean_squared_log_error,
    "r2": sk.r2_score,
    "r2_score": sk.r2_score,
    "explained_variance": sk.explained_variance_score,
    "log_cosh": lambda y, p: np.log(np.cosh(y - p)).mean(),
    "pearson": lambda y, p: _columns(lambda a, b: stats.pearsonr(a, b).statistic, y, p),
    "spearman": lambda y, p: _columns(lambda a, b: stats.spearmanr(a, b).statistic, y, p),
}
# names that are losses, too
BOTH = regression.table()


def _columns(score, y, p):
    # these have one value for each output
    y, p = y.reshape(len(y), -1), p.reshape(len(p), -1)
    return np.squeeze([score(y[:, k], p[:, k]) for k in range(y.shape[1])])


# each way that outputs come in: loss, outputs, targets as given; then y and p for scikit-learn


def _as_probability():
    y, z = _binary_scores()
    return "binary_crossentropy", _sigmoid(z)[:, None], y, y, _sigmoid(z)


def _as_probability_vector():
    y, z = _binary_scores()
    return "bce", _sigmoid(z), y[:, None].astype("float32"), y, _sigmoid(z)


def _as_logit():
    y, z = _binary_scores()
    return "bce_with_logits", z[:, None], y, y, _sigmoid(z)


def _as_keras_logit():
    y, z = _binary_scores()
    return losses.BinaryCrossentropy(from_logits=True), z[:, None], y[:, None].astype("float32"), y, _sigmoid(z)


def _as_two_probabilities():
    y, z = _class_scores(2)
    return "sparse_categorical_crossentropy", _softmax(z), y, y, _softmax(z)[:, 1]


def _as_two_logits():
    y, z = _class_scores(2)
    return nn.CrossEntropyLoss(), z, y, y, _softmax(z)[:, 1]


def _as_two_one_hot():
    y, z = _class_scores(2)
    return "categorical_crossentropy", _softmax(z), np.eye(2)[y], y, _softmax(z)[:, 1]


def _as_two_log_probabilities():
    y, z = _class_scores(2)
    return "nll_loss", np.log(_softmax(z)), y, y, _softmax(z)[:, 1]


BINARY = [
    _as_probability,
    _as_probability_vector,
    _as_logit,
    _as_keras_logit,
    _as_two_probabilities,
    _as_two_logits,
    _as_two_one_hot,
    _as_two_log_probabilities,
]


def _as_probabilities():
    y, z = _class_scores(CLASSES)
    return "sparse_categorical_crossentropy", _softmax(z), y, y, _softmax(z)


def _as_logits():
    y, z = _class_scores(CLASSES)
    return "cross_entropy", z, y, y, _softmax(z)


def _as_keras_logits():
    y, z = _class_scores(CLASSES)
    return losses.SparseCategoricalCrossentropy(from_logits=True), z, y[:, None], y, _softmax(z)


def _as_one_hot():
    y, z = _class_scores(CLASSES)
    return "categorical_crossentropy", _softmax(z), np.eye(CLASSES)[y], y, _softmax(z)


def _as_one_hot_logits():
    y, z = _class_scores(CLASSES)
    return losses.CategoricalCrossentropy(from_logits=True), z, np.eye(CLASSES)[y], y, _softmax(z)


def _as_log_probabilities():
    y, z = _class_scores(CLASSES)
    return "nll_loss", np.log(_softmax(z)), y, y, _softmax(z)


MULTICLASS = [
    _as_probabilities,
    _as_logits,
    _as_keras_logits,
    _as_one_hot,
    _as_one_hot_logits,
    _as_log_probabilities,
]


def _as_label_probabilities():
    y, z = _label_scores()
    return "binary_crossentropy", _sigmoid(z), y.astype("float32"), y, _sigmoid(z)


def _as_label_logits():
    y, z = _label_scores()
    return nn.BCEWithLogitsLoss(), z, y, y, _sigmoid(z)


MULTILABEL = [_as_label_probabilities, _as_label_logits]

ROWS = [
    pytest.param(name, oracles[which], data, id=f"{name}-{data.__name__.strip('_')}")
    for name, oracles in CLASSIFICATION.items()
    for which, group in enumerate((BINARY, MULTICLASS, MULTILABEL))
    for data in group
    if oracles[which] is not None
]


def test_every_name_has_a_row_in_these_tests():
    # test_metrics_of_losses.py has the names of losses, test_metrics_in_compile.py the rest
    elsewhere = {*losses.registry.NAMES, "ce", "crossentropy", "log_cosh_error", "mean_iou", "mean_io_u"}
    elsewhere |= {"one_hot_mean_io_u", "true_positives", "false_positives", "true_negatives", "false_negatives"}
    elsewhere |= {"pearson_correlation", "concordance_correlation", "fbeta", "fbeta_score", "f_beta_score"}
    assert set(NAMES) - elsewhere == {*CLASSIFICATION, *TOP, *REGRESSION, *BOTH} - elsewhere


@pytest.mark.parametrize(("name", "oracle", "data"), ROWS)
def test_a_name_is_that_of_scikit_learn(name, oracle, data):
    loss, outputs, given, y, p = data()
    assert float(_value(name, loss, outputs, given)) == pytest.approx(oracle(y, p), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("data", MULTICLASS)
@pytest.mark.parametrize(("name", "k"), TOP.items())
def test_top_k_is_that_of_scikit_learn(name, k, data):
    loss, outputs, given, y, p = data()
    assert float(_value(name, loss, outputs, given)) == pytest.approx(sk.top_k_accuracy_score(y, p, k=k))


@pytest.mark.parametrize("name", ["cohen_kappa", "calibration_error", "hinge_loss"])
def test_a_name_that_several_yes_or_no_outputs_do_not_have_is_refused(name):
    loss, outputs, given, _, _ = _as_label_logits()
    with pytest.raises(ValueError, match=f"metric '{name}' is not defined for multilabel outputs"):
        _value(name, loss, outputs, given)


@pytest.mark.parametrize(("name", "k"), TOP.items())
def test_top_k_of_no_more_than_k_classes_is_refused(name, k):
    y, z = _class_scores(k)
    with pytest.raises(ValueError, match=f"metric '{name}' needs more than {k} classes, the model has {k}"):
        _value(name, "cross_entropy", z, y)


@pytest.mark.parametrize("name", CLASSIFICATION)
def test_a_name_for_classes_is_refused_for_values_that_are_no_classes(name):
    with pytest.raises(ValueError, match=f"metric '{name}' is for classification, .*Use 'mae'"):
        _value(name, "mse", np.zeros((4, 1)), np.full((4, 1), 0.5))


# regression


def _quantities(shape):
    rng = _rng()
    y = rng.uniform(0.5, 3, shape)
    return y, y + rng.normal(0, 0.3, shape).clip(-0.4, 0.4)


@pytest.mark.filterwarnings("ignore:Metric .Spearman")
@pytest.mark.parametrize(("y_shape", "p_shape"), [((N,), (N,)), ((N,), (N, 1)), ((N, 1), (N, 1)), ((N, 3), (N, 3))])
@pytest.mark.parametrize("name", REGRESSION)
def test_a_name_for_values_is_that_of_scikit_learn_or_scipy(name, y_shape, p_shape):
    y, p = _quantities(p_shape)
    wanted = REGRESSION[name](y, p)
    found = _value(name, "mse", p, y.reshape(y_shape))
    np.testing.assert_allclose(np.squeeze(found.numpy()), wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("loss", ["mse", "huber", nn.L1Loss(), None])
def test_values_are_taken_as_they_are_whatever_the_loss(loss):
    y, p = _quantities((N, 2))
    assert float(_value("mae", loss, p, y)) == pytest.approx(np.abs(y - p).mean())


def test_cosine_similarity_is_the_mean_cosine_of_the_rows():
    y, p = _rng().normal(size=(2, N, 3))
    cosines = (y * p).sum(1) / np.linalg.norm(y, axis=1) / np.linalg.norm(p, axis=1)
    assert float(_value("cosine_similarity", "mse", p, y)) == pytest.approx(cosines.mean(), rel=1e-5)


ODD = {
    "values below zero": (np.array([[0.0], [1.0], [2.0]]), np.array([[-1.5], [0.5], [90.0]])),
    "a vector": (np.array([0.0, -1.0, 3.0, 0.0]), np.array([0.2, -80.0, 1e4, 0.0])),
    "signs": (np.array([[1.0], [-1.0], [1.0]]), np.array([[0.3], [0.2], [-4.0]])),
    "rows": (np.array([[0.2, 0.8], [1.0, 0.0]]), np.array([[0.5, 0.5], [0.0, 1.0]])),
    "sequences": (_rng().uniform(0, 1, (5, 4, 3)), _rng().uniform(-1, 2, (5, 4, 3))),
}


@pytest.mark.parametrize(
    ("data", "pieces"), [*((one, 1) for one in ODD), ("signs", 3), ("sequences", 2)], ids=lambda value: str(value)
)
@pytest.mark.parametrize("name", BOTH)
def test_a_metric_and_a_loss_of_one_name_are_one_number_on_odd_inputs(name, data, pieces):
    y, p = ODD[data]
    loss = losses.get(name)
    # as Keras: the loss is minus the cosine, the metric the cosine
    sign = -1 if name == "cosine_similarity" else 1
    wanted = sign * float(loss(_tensor(y), _tensor(p)))
    assert float(_value(name, name if loss.task == "regression" else "mse", p, y, pieces)) == pytest.approx(
        wanted, rel=1e-6, nan_ok=True
    )


@pytest.mark.parametrize("name", ["hinge", "squared_hinge"])
@pytest.mark.parametrize("coded", [(0, 1), (-1, 1)])
def test_a_metric_of_margins_is_that_of_the_loss_beside_it(name, coded):
    y, z = _binary_scores()
    sign = 2 * y - 1
    wanted = np.maximum(1 - sign * z, 0) ** (2 if name == "squared_hinge" else 1)
    assert float(_value(name, name, z[:, None], np.where(y == 1, coded[1], coded[0]), 1)) == pytest.approx(
        wanted.mean()
    )


@pytest.mark.parametrize(
    ("name", "formula"),
    [
        ("msle", lambda y, p: (np.log1p(np.maximum(y, 1e-7)) - np.log1p(np.maximum(p, 1e-7))) ** 2),
        ("mape", lambda y, p: 100 * np.abs(y - p) / np.maximum(np.abs(y), 1e-7)),
        ("log_cosh", lambda y, p: np.logaddexp(p - y, y - p) - np.log(2)),
    ],
)
def test_a_metric_is_its_formula_where_values_are_odd(name, formula):
    y, p = ODD["values below zero"]
    assert float(_value(name, "mse", p, y)) == pytest.approx(formula(y, p).mean(), rel=1e-6)


@pytest.mark.parametrize(
    ("name", "higher_is_better"),
    [
        *((name, True) for name in ("accuracy", "auc", "top5", "r2", "pearson", "cosine_similarity")),
        *((name, False) for name in ("mse", "rmse", "mae", "mape", "msle", "log_cosh", "huber", "hinge")),
        *((name, False) for name in ("hinge_loss", "calibration_error")),
    ],
)
def test_a_name_knows_whether_more_is_better(name, higher_is_better):
    assert metrics.get(name).higher_is_better is higher_is_better


# outputs as the loss takes them


@pytest.mark.parametrize("name", ["accuracy", "precision", "recall", "auc", "calibration_error", "average_precision"])
def test_logits_that_all_lie_in_the_unit_interval_are_logits_still(name):
    y, z = _binary_scores()
    z = (z - z.min()) / (z.max() - z.min())
    wanted = CLASSIFICATION[name][0](y, _sigmoid(z))
    assert float(_value(name, "bce_with_logits", z[:, None], y)) == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("name", ["accuracy", "auc", "calibration_error", "average_precision", "hinge_loss"])
@pytest.mark.parametrize("classes", [2, CLASSES])
def test_class_logits_that_all_lie_in_the_unit_interval_are_logits_still(name, classes):
    y, z = _class_scores(classes)
    z = (z - z.min()) / (z.max() - z.min())
    p = _softmax(z)
    wanted = CLASSIFICATION[name][0](y, p[:, 1]) if classes == 2 else CLASSIFICATION[name][1](y, p)
    assert float(_value(name, "cross_entropy", z, y)) == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("loss", ["nll_loss", "multi_margin_loss", "cross_entropy"])
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("spread", [0.1, 1.0])
def test_the_class_of_the_largest_output_is_the_answer_whatever_the_outputs_are(loss, classes, spread):
    y, z = _class_scores(classes)
    z = np.log(_softmax(z)) if loss == "nll_loss" else z * spread
    assert float(_value("accuracy", loss, z, y)) == pytest.approx((z.argmax(1) == y).mean())


@pytest.mark.parametrize(("classes", "name"), [(2, "accuracy"), (2, "f1"), (4, "accuracy"), (4, "f1"), (4, "iou")])
def test_places_of_an_image_are_rows(classes, name):
    y, z = _class_scores(classes)
    images = z.reshape(20, 4, 5, classes).transpose(0, 3, 1, 2)
    p = _softmax(z)
    wanted = CLASSIFICATION[name][0](y, p[:, 1]) if classes == 2 else CLASSIFICATION[name][1](y, p)
    assert float(_value(name, "cross_entropy", images, y.reshape(20, 4, 5))) == pytest.approx(wanted, rel=1e-5)


def test_places_of_a_sequence_are_rows():
    y, z = _class_scores(4)
    loss = losses.SparseCategoricalCrossentropy(from_logits=True)
    found = _value("accuracy", loss, z.reshape(20, 20, 4), y.reshape(20, 20, 1))
    assert float(found) == pytest.approx((z.argmax(1) == y).mean())


@pytest.mark.parametrize("shape", [(20, 1, 4, 5), (20, 4, 5), (80, 5)])
def test_the_accuracy_of_masks_is_over_all_elements(shape):
    y, z = _binary_scores()
    found = _value("accuracy", "bce_with_logits", z.reshape(shape), y.reshape(shape))
    assert float(found) == pytest.approx((y == (z > 0)).mean())


@pytest.mark.parametrize(
    ("loss", "y_shape", "p_shape", "kind", "classes"),
    [
        ("mse", (5, 3), (5, 3), "regression", 3),
        (None, (5,), (5, 4), "regression", 4),
        ("binary_crossentropy", (5,), (5, 1), "binary", 1),
        ("bce_with_logits", (5, 1), (5,), "binary", 1),
        ("bce_with_logits", (5, 4), (5, 4), "multilabel", 4),
        ("cross_entropy", (5,), (5, 4), "multiclass", 4),
        ("cross_entropy", (5, 6, 7), (5, 4, 6, 7), "multiclass", 4),
        ("sparse_categorical_crossentropy", (5, 6), (5, 6, 4), "multiclass", 4),
        ("categorical_crossentropy", (5, 2), (5, 2), "multiclass", 2),
    ],
)
def test_the_task_is_read_from_the_loss_and_the_shapes(loss, y_shape, p_shape, kind, classes):
    target = TaskSpec.of(None if loss is None else losses.get(loss), torch.zeros(p_shape), torch.zeros(y_shape))
    assert (target.kind, target.classes) == (kind, classes)


@pytest.mark.parametrize("name", ["accuracy", "f1", "auc", "average_precision", "calibration_error"])
def test_the_value_is_that_of_the_whole_set_whatever_the_batches(name):
    loss, outputs, given, _, _ = _as_probabilities()
    found = [float(_value(name, loss, outputs, given, pieces)) for pieces in (1, 2, 7, 100)]
    assert found == pytest.approx([found[0]] * 4)


# functions


def _gap(y_true, y_pred):
    return (y_true - 2 * y_pred).mean()


def _gap_in_torchs_order(outputs, y):
    return (y - 2 * outputs).mean()


@pytest.mark.parametrize("function", [_gap, _gap_in_torchs_order])
def test_a_function_is_called_in_keras_order_where_its_first_parameter_is_y_true(function):
    y, p = _rng().normal(size=(2, N, 3))
    assert float(_value(function, "mse", p, y)) == pytest.approx((y - 2 * p).mean())


def test_a_function_sees_all_rows_at_once_and_targets_in_the_shape_of_the_outputs():
    seen = []

    def spread(outputs, y):
        seen.append((outputs.shape, y.shape))
        return outputs.std()

    y, p = _rng().normal(size=(2, N, 1))
    assert float(_value(spread, "bce_with_logits", p, y[:, 0], pieces=5)) == pytest.approx(p.std(ddof=1))
    assert seen == [((N, 1), (N, 1))]


def test_a_function_may_be_one_of_scikit_learn_or_give_one_value_a_row():
    y, p = _rng().normal(size=(2, N))
    assert float(_value(sk.r2_score, "mse", p, y)) == pytest.approx(sk.r2_score(y, p), rel=1e-6)
    assert float(_value(lambda outputs, y: (outputs - y).abs(), "mse", p, y)) == pytest.approx(np.abs(p - y).mean())


def test_a_function_starts_anew_after_a_reset():
    accumulator = metrics.get(_gap).build(TaskSpec("regression", 1, None, -1), torch.device("cpu"))
    accumulator.update(torch.ones(3), torch.zeros(3))
    accumulator.reset()
    accumulator.update(torch.zeros(3), torch.ones(3))
    assert float(accumulator.compute()) == 1


def test_a_function_is_named_as_it_is():
    assert metrics.get(_gap_in_torchs_order).name == "_gap_in_torchs_order"
    assert metrics.get(sk.r2_score).name == "r2_score"


# objects of torchmetrics


@pytest.mark.parametrize("data", [_as_probability, _as_logit, _as_two_logits, _as_two_log_probabilities])
def test_an_object_for_yes_or_no_is_given_probabilities(data):
    loss, outputs, given, y, p = data()
    found = _value(torchmetrics.classification.BinaryF1Score(threshold=0.3), loss, outputs, given)
    assert float(found) == pytest.approx(sk.f1_score(y, p > 0.3), rel=1e-5)


@pytest.mark.parametrize("data", MULTICLASS)
def test_an_object_for_classes_is_given_probabilities(data):
    loss, outputs, given, y, p = data()
    found = _value(torchmetrics.classification.MulticlassF1Score(CLASSES, average="weighted"), loss, outputs, given)
    assert float(found) == pytest.approx(sk.f1_score(y, p.argmax(1), average="weighted"), rel=1e-5)


@pytest.mark.parametrize("data", [_as_two_probabilities, _as_two_logits, _as_two_one_hot])
def test_an_object_for_classes_works_for_two(data):
    loss, outputs, given, y, p = data()
    found = _value(torchmetrics.classification.MulticlassF1Score(2, average="macro"), loss, outputs, given)
    assert float(found) == pytest.approx(sk.f1_score(y, p > 0.5, average="macro"), rel=1e-5)


@pytest.mark.parametrize("data", MULTILABEL)
def test_an_object_for_labels_is_given_probabilities(data):
    loss, outputs, given, y, p = data()
    found = _value(torchmetrics.classification.MultilabelF1Score(LABELS, average="micro"), loss, outputs, given)
    assert float(found) == pytest.approx(sk.f1_score(y, p > 0.5, average="micro"), rel=1e-5)


@pytest.mark.parametrize(("y_shape", "p_shape"), [((N,), (N,)), ((N, 1), (N, 1)), ((N,), (N, 1)), ((N, 3), (N, 3))])
def test_an_object_for_values_is_given_values(y_shape, p_shape):
    y, p = _quantities(p_shape)
    found = _value(torchmetrics.MeanAbsoluteError(), "mse", p, y.reshape(y_shape))
    assert float(found) == pytest.approx(np.abs(y - p).mean(), rel=1e-5)


def test_a_class_of_torchmetrics_is_made_without_arguments():
    y, p = _quantities((N,))
    made = metrics.get(torchmetrics.MeanAbsoluteError)
    assert (made.name, made.higher_is_better) == ("mean_absolute_error", False)
    assert float(_value(torchmetrics.MeanAbsoluteError, "mse", p, y)) == pytest.approx(np.abs(y - p).mean(), rel=1e-5)


def test_an_object_is_copied_and_starts_empty():
    mine = torchmetrics.MeanAbsoluteError()
    mine.update(torch.full((5,), 100.0), torch.zeros(5))
    before = copy.deepcopy(mine.compute())
    y, p = _quantities((N,))
    assert float(_value(mine, "mse", p, y)) == pytest.approx(np.abs(y - p).mean(), rel=1e-5)
    assert mine.compute() == before


def test_two_accumulators_of_one_metric_are_apart():
    target, device = TaskSpec("regression", 1, None, -1), torch.device("cpu")
    for given in ("mae", torchmetrics.MeanAbsoluteError(), _gap):
        metric = metrics.get(given)
        one, other = metric.build(target, device), metric.build(target, device)
        one.update(torch.full((3,), 9.0), torch.zeros(3))
        other.update(torch.zeros(3), torch.zeros(3))
        assert float(other.compute()) == 0


# lookup


@pytest.mark.parametrize("given", ["acc", "Accuracy", "F1Score", "AUC", "MeanSquaredError", "RMSE", "top5"])
def test_a_name_may_be_in_any_case_and_is_logged_as_given(given):
    assert metrics.get(given).name == given


def test_the_spelling_of_a_name_does_not_change_what_it_is():
    loss, outputs, given, y, p = _as_probabilities()
    for name in ("F1Score", "f1", "F1"):
        assert float(_value(name, loss, outputs, given)) == pytest.approx(sk.f1_score(y, p.argmax(1), average="macro"))


@pytest.mark.parametrize(
    ("wrong", "near"), [("acuracy", "accuracy"), ("precison", "precision"), ("RMSEE", "rmse"), ("f2", "f1")]
)
def test_an_unknown_name_suggests_the_nearest(wrong, near):
    pattern = f"Unknown metric '{wrong}'. Did you mean '{near}'. Known: .*" if near != "f1" else "Unknown metric 'f2'"
    with pytest.raises(ValueError, match=pattern):
        metrics.get(wrong)


@pytest.mark.parametrize("wrong", [None, 3, ["accuracy"]])
def test_what_is_no_metric_is_refused(wrong):
    with pytest.raises(TypeError, match="A metric is a name, a torchmetrics metric or a function, got"):
        metrics.get(wrong)


def test_a_metric_may_be_renamed_and_stays_what_it_was():
    metric = metrics.get("rmse")
    other = dataclasses.replace(metric, name="error")
    assert (other.name, metric.name, other.higher_is_better) == ("error", "rmse", False)
    assert metrics.get(other) is other


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (torch.tensor(1.5), {"m": 1.5}),
        (torch.tensor([1.5]), {"m": 1.5}),
        (torch.tensor([1.0, 2.0]), {"m_0": 1.0, "m_1": 2.0}),
        ({"a": torch.tensor(1.0), "b": torch.tensor(2.0)}, {"m_a": 1.0, "m_b": 2.0}),
    ],
)
def test_a_value_of_several_parts_is_spread_over_names(value, found):
    assert {key: float(part) for key, part in named_scalars("m", value).items()} == found


@pytest.mark.parametrize("name", ["f1", "top_2_accuracy"])
def test_a_metric_in_which_no_row_counts_is_not_a_number(name):
    model = kt.Model(torch.nn.Linear(3, 4))
    model.compile("sgd", torch.nn.CrossEntropyLoss(ignore_index=0), metrics=[name])
    x = torch.randn(2, 3)
    assert np.isnan(model.test_on_batch(x, torch.zeros(2, dtype=torch.int64), return_dict=True)[name])
    assert np.isfinite(model.test_on_batch(x, torch.tensor([0, 1]), return_dict=True)[name])


@pytest.mark.parametrize("shape", [(6, 1, 4, 5), (6, 4, 5)])
@pytest.mark.parametrize("ones", [False, True])
def test_masks_of_one_channel_beside_a_loss_of_values_are_yes_or_no_questions(shape, ones):
    net = torch.nn.Sequential(torch.nn.Conv2d(2, 1, 3, padding=1), torch.nn.Sigmoid())
    x, y = torch.randn(6, 2, 4, 5), torch.randint(0, 2, (6, 1, 4, 5)).float()
    if ones:
        y[:] = 1
    expected = ((net(x) > 0.5) == (y > 0.5)).float().mean().item()

    class Net(torch.nn.Module):  # one that does not tell where its channels are
        def __init__(self):
            super().__init__()
            self.net = net

        def forward(self, x):
            return self.net(x) * 1

    model = kt.Model(Net())
    model.compile("sgd", "mse", metrics=["accuracy"])
    assert model.evaluate(x, y.reshape(shape), verbose=0, return_dict=True)["accuracy"] == pytest.approx(expected)


def test_a_first_batch_that_looks_one_hot_does_not_decide_what_columns_are():
    net = nn.Sequential(nn.Linear(3, 2), nn.Sigmoid())
    x, y = torch.randn(6, 3), torch.tensor([[1.0, 0], [1, 1], [0, 1], [0, 0], [1, 1], [1, 0]])
    expected = ((net(x) > 0.5) == (y > 0.5)).float().mean().item()
    model = kt.Model(net)
    model.compile("sgd", "mse", metrics=["accuracy"])
    for size in (1, 2, 6):
        found = model.evaluate(x, y, batch_size=size, verbose=0, return_dict=True)
        assert found["accuracy"] == pytest.approx(expected)

    class Reads(kt.callbacks.Callback):
        def on_test_batch_end(self, batch, logs=None):
            logs["accuracy"]

    with pytest.raises(ValueError, match="the first targets were one-hot"):
        model.evaluate(x, y, batch_size=1, verbose=0, callbacks=[Reads()])


@pytest.mark.parametrize("scale", [1.0, 1e3, 1e5])
@pytest.mark.parametrize("name", ["auc", "average_precision"])
def test_large_logits_are_ranked_as_they_are(name, scale):
    x, y = torch.tensor([[20.0], [22.0], [24.0], [26.0], [-1.0]]) * scale, torch.tensor([0, 1, 0, 1, 0])
    x += torch.tensor([[0.0], [-2.0], [-4.0], [-6.0], [0.0]]) * (scale - 1)  # few units apart, far from 0
    model = kt.Model(nn.Flatten())
    model.compile("sgd", "binary_cross_entropy_with_logits", metrics=[name])
    expected = {"auc": sk.roc_auc_score, "average_precision": sk.average_precision_score}[name](y, x[:, 0])
    assert model.evaluate(x, y, verbose=0, return_dict=True)[name] == pytest.approx(expected)
