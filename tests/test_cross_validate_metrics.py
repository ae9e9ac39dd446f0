"""metrics= of cross_validate: the numbers of scikit-learn on the predictions for the held-out rows."""

import numpy as np
import pytest
import sklearn.metrics as sk
import torch
from torch import nn

import kerastorch as kt
from kerastorch import layers
from kerastorch.model_selection import cross_validate

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(60, 3)).astype("float32")
Y = X @ [1.0, -2.0, 0.5] + 0.3 * RANDOM.normal(size=60)
BINARY = (Y > 0).astype(int)
CLASSES = np.digitize(Y, [-1, 1])


def softmax(values):
    return np.exp(values) / np.exp(values).sum(1, keepdims=True)


def network(units, activation, loss):
    def build(x, y):
        model = kt.Sequential([layers.Dense(units, activation)])
        model.compile(kt.optimizers.Adam(0.05), loss)
        return model

    return build


SIGMOID = network(1, "sigmoid", "binary_crossentropy")


def check(result, name, function, y):
    """Compare a score of each fold with a function of targets and predictions."""
    expected = [function(y[fold.test], fold.predictions) for fold in result.folds]
    np.testing.assert_allclose(result.scores[name], expected, rtol=1e-6)


def test_scorers_of_a_binary_classifier():
    names = ["roc_auc", "average_precision", "f1", "accuracy", "neg_log_loss", "balanced_accuracy", "neg_brier_score"]
    result = cross_validate(SIGMOID, X, BINARY, cv=4, metrics=names, verbose=0, return_train_score=True)
    check(result, "roc_auc", lambda y, p: sk.roc_auc_score(y, p[:, 0]), BINARY)
    check(result, "average_precision", lambda y, p: sk.average_precision_score(y, p[:, 0]), BINARY)
    check(result, "f1", lambda y, p: sk.f1_score(y, p[:, 0] > 0.5), BINARY)
    check(result, "accuracy", lambda y, p: np.mean((p[:, 0] > 0.5) == y), BINARY)
    check(result, "neg_log_loss", lambda y, p: -sk.log_loss(y, p[:, 0].astype(float)), BINARY)
    check(result, "balanced_accuracy", lambda y, p: sk.balanced_accuracy_score(y, p[:, 0] > 0.5), BINARY)
    check(result, "neg_brier_score", lambda y, p: -np.mean((y - p[:, 0]) ** 2), BINARY)
    assert sorted(result.train_scores) == sorted(["loss", *names])


def test_logits_become_probabilities():
    def build(x, y):
        model = kt.Model(nn.Sequential(nn.Linear(3, 1)))
        model.compile("adam", nn.BCEWithLogitsLoss())
        return model

    result = cross_validate(build, X, BINARY, cv=4, metrics=["roc_auc", "neg_log_loss", "accuracy"], verbose=0)
    check(result, "neg_log_loss", lambda y, p: -sk.log_loss(y, 1 / (1 + np.exp(-p[:, 0].astype(float)))), BINARY)
    check(result, "roc_auc", lambda y, p: sk.roc_auc_score(y, p[:, 0]), BINARY)
    check(result, "accuracy", lambda y, p: np.mean((p[:, 0] > 0) == y), BINARY)


@pytest.mark.parametrize("one_hot", [False, True])
@pytest.mark.parametrize("from_logits", [False, True])
def test_scorers_of_several_classes(one_hot, from_logits):
    name = "categorical_crossentropy" if one_hot else "sparse_categorical_crossentropy"
    loss = {
        "categorical_crossentropy": kt.losses.CategoricalCrossentropy,
        "sparse_categorical_crossentropy": kt.losses.SparseCategoricalCrossentropy,
    }[name](from_logits=from_logits)
    y = np.eye(3)[CLASSES] if one_hot else CLASSES
    metrics = ["accuracy", "f1_macro", "roc_auc_ovr", "neg_log_loss"]
    result = cross_validate(
        network(3, None if from_logits else "softmax", loss), X, y, cv=3, metrics=metrics, verbose=0
    )

    def probabilities(p):
        values = softmax(p.astype(float)) if from_logits else p.astype(float)
        return values / values.sum(1, keepdims=True)

    check(result, "accuracy", lambda y, p: np.mean(p.argmax(1) == y), CLASSES)
    check(result, "f1_macro", lambda y, p: sk.f1_score(y, p.argmax(1), average="macro"), CLASSES)
    check(result, "roc_auc_ovr", lambda y, p: sk.roc_auc_score(y, probabilities(p), multi_class="ovr"), CLASSES)
    check(result, "neg_log_loss", lambda y, p: -sk.log_loss(y, probabilities(p)), CLASSES)


def test_scorers_of_regression():
    result = cross_validate(
        network(1, None, "mse"),
        X,
        Y,
        cv=4,
        metrics=["r2", "neg_mean_absolute_error", "neg_mean_squared_error"],
        verbose=0,
    )
    check(result, "r2", lambda y, p: sk.r2_score(y, p[:, 0]), Y)
    check(result, "neg_mean_absolute_error", lambda y, p: -np.abs(y - p[:, 0]).mean(), Y)
    check(result, "neg_mean_squared_error", lambda y, p: -((y - p[:, 0]) ** 2).mean(), Y)
    two = np.stack([Y, -Y], 1)
    result = cross_validate(network(2, None, "mse"), X, two, cv=4, metrics="r2", verbose=0)
    check(result, "r2", sk.r2_score, two)


def test_multilabel_scorers():
    y = np.stack([BINARY, 1 - BINARY, (X[:, 0] > 0).astype(int)], 1)
    y[0] = 1
    result = cross_validate(
        network(3, "sigmoid", "binary_crossentropy"), X, y, cv=3, metrics=["f1_macro", "accuracy"], verbose=0
    )
    check(result, "f1_macro", lambda y, p: sk.f1_score(y, p > 0.5, average="macro"), y)
    check(result, "accuracy", lambda y, p: np.mean(((p > 0.5) == y).all(1)), y)


def test_functions_of_scikit_learn_get_what_they_take():
    functions = [sk.f1_score, sk.roc_auc_score, sk.log_loss, sk.matthews_corrcoef]
    result = cross_validate(SIGMOID, X, BINARY, cv=4, metrics=functions, verbose=0)
    check(result, "f1_score", lambda y, p: sk.f1_score(y, p[:, 0] > 0.5), BINARY)
    check(result, "roc_auc_score", lambda y, p: sk.roc_auc_score(y, p[:, 0]), BINARY)
    check(result, "log_loss", lambda y, p: sk.log_loss(y, p[:, 0].astype(float)), BINARY)
    check(result, "matthews_corrcoef", lambda y, p: sk.matthews_corrcoef(y, p[:, 0] > 0.5), BINARY)


def test_own_functions_get_targets_and_predictions_as_arrays():
    def largest(y_true, y_pred):
        assert isinstance(y_true, np.ndarray)
        assert y_pred.shape == (15, 1)
        return np.abs(y_true - y_pred[:, 0]).max()

    metrics = {"worst": largest, "scorer": sk.make_scorer(sk.fbeta_score, beta=2)}
    result = cross_validate(SIGMOID, torch.tensor(X), torch.tensor(BINARY), cv=4, metrics=metrics, verbose=0)
    check(result, "worst", lambda y, p: np.abs(y - p[:, 0]).max(), BINARY)
    check(result, "scorer", lambda y, p: sk.fbeta_score(y, p[:, 0] > 0.5, beta=2), BINARY)


def test_a_dataset_gives_its_targets():
    data = torch.utils.data.TensorDataset(torch.tensor(X), torch.tensor(BINARY))

    class Pairs(torch.utils.data.Dataset):
        def __len__(self):
            return 60

        def __getitem__(self, row):
            return data[row]

    for one in (data, Pairs()):
        result = cross_validate(SIGMOID, one, cv=4, stratify=True, metrics="roc_auc", verbose=0)
        check(result, "roc_auc", lambda y, p: sk.roc_auc_score(y, p[:, 0]), BINARY)


@pytest.mark.parametrize(
    ("metrics", "error", "message"),
    [
        ("roc_acu", ValueError, "Unknown metric 'roc_acu'"),
        (["f1", "f1"], ValueError, "two metrics have the name 'f1'"),
        ([lambda y, p: 0], ValueError, "a lambda needs a name"),
        ([kt.metrics.AUC()], TypeError, r"compile\(metrics=\[...\]\)"),
        ([3], TypeError, "metrics must be names"),
        ({"a": lambda y, p: p}, TypeError, "must return one number"),
        ("roc_auc_ovr", None, None),
    ],
)
def test_what_is_no_metric_is_an_error(metrics, error, message):
    if error is None:
        cross_validate(SIGMOID, X, BINARY, cv=2, metrics=metrics, verbose=0)
        return
    with pytest.raises(error, match=message):
        cross_validate(SIGMOID, X, BINARY, cv=2, metrics=metrics, verbose=0)


def test_a_metric_that_is_compiled_too_is_an_error():
    def build(x, y):
        model = SIGMOID(x, y)
        model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
        return model

    with pytest.raises(ValueError, match="compiled with a metric 'accuracy', too"):
        cross_validate(build, X, BINARY, cv=2, metrics="accuracy", verbose=0)


def test_an_error_of_a_metric_names_the_fold():
    with pytest.raises(ValueError, match="metric 'roc_auc' of fold 1"):
        cross_validate(
            network(3, "softmax", "sparse_categorical_crossentropy"), X, CLASSES, cv=2, metrics="roc_auc", verbose=0
        )


def test_a_misspelt_metric_is_an_error_with_the_nearest_name():
    for name, nearest in (("acuracy", "accuracy"), ("f1_marco", "f1_macro"), ("rocauc", "roc_auc")):
        with pytest.raises(ValueError, match=rf"Unknown metric '{name}'\. Did you mean '{nearest}'\?"):
            cross_validate(SIGMOID, X, BINARY, metrics=[name], verbose=0)


@pytest.mark.parametrize("labels", [CLASSES, CLASSES + 1])
def test_probabilities_are_scored_with_all_classes_if_the_held_out_rows_lack_some(labels):
    cv = [(np.flatnonzero(one != CLASSES), np.flatnonzero(one == CLASSES)) for one in range(3)]
    names = ["neg_log_loss", "top_k_accuracy"]
    result = cross_validate(
        network(4, "softmax", "sparse_categorical_crossentropy"), X, labels, cv=cv, metrics=names, verbose=0
    )
    chosen = [np.log(fold.predictions[np.arange(len(fold.test)), labels[fold.test]]).mean() for fold in result.folds]
    np.testing.assert_allclose(result.scores["neg_log_loss"], chosen, rtol=1e-5)
    best = [np.argsort(-fold.predictions, 1)[:, :2] == labels[fold.test][:, None] for fold in result.folds]
    np.testing.assert_allclose(result.scores["top_k_accuracy"], [found.any(1).mean() for found in best])


def test_log_loss_of_held_out_rows_of_one_of_two_classes():
    cv = [(np.flatnonzero(BINARY == 1), np.flatnonzero(BINARY == 0))]
    result = cross_validate(SIGMOID, X, BINARY, cv=cv, metrics=["neg_log_loss"], verbose=0)
    expected = np.log(1 - result.folds[0].predictions.astype(float)).mean()
    np.testing.assert_allclose(result.scores["neg_log_loss"], [expected], rtol=1e-6)


def test_a_scorer_with_labels_of_its_own_keeps_them():
    scorer = sk.make_scorer(sk.log_loss, response_method="predict_proba", greater_is_better=False, labels=[0, 1])
    plain = cross_validate(SIGMOID, X, BINARY, cv=2, metrics={"own": scorer, "known": "neg_log_loss"}, verbose=0)
    np.testing.assert_allclose(plain.scores["own"], plain.scores["known"])


LINEAR = network(1, None, "mse")


@pytest.mark.parametrize(
    "function",
    [lambda y, p: np.mean((y - p) ** 2), lambda y, p: np.abs(y - p).mean()],
)
def test_a_function_that_pairs_each_target_with_each_prediction_is_an_error(function):
    with pytest.raises(ValueError, match=r"metric 'own' of fold 1: y_true has the shape \(30,\) and y_pred \(30, 1\)"):
        cross_validate(LINEAR, X, Y, cv=2, metrics={"own": function}, verbose=0)


@pytest.mark.parametrize(
    "function",
    [
        lambda y, p: np.mean((y - p[:, 0]) ** 2),
        lambda y, p: np.mean((y.reshape(p.shape) - p) ** 2),
        lambda y, p: ((y[:, None] < y) == (p < p.reshape(1, -1))).mean(),  # pairs on purpose
        lambda y, p: p.max(),
        lambda y, p: np.random.default_rng().random(),
        sk.mean_squared_error,
    ],
)
def test_functions_that_do_not_broadcast_by_mistake_are_computed(function):
    result = cross_validate(LINEAR, X, Y, cv=2, metrics={"own": function}, verbose=0)
    assert np.isfinite(result.scores["own"]).all()
