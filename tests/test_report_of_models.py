"""Reports on models: the task and the probabilities follow from the loss."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn import metrics as sk
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import kerastorch as kt
from kerastorch.evaluation import Report, Reports, report
from kerastorch.layers import Dense

X = np.random.default_rng(0).normal(size=(90, 4)).astype("float32")
Y2 = (X[:, 0] + 0.5 * X[:, 1] > 0).astype("int64")
Y3 = np.digitize(X[:, 0] + 0.3 * X[:, 2], [-0.5, 0.5]).astype("int64")


def sigmoid(z):
    return 1 / (1 + np.exp(-z.astype(np.float64)))


def softmax(z):
    shifted = np.exp(z.astype(np.float64) - z.max(-1, keepdims=True))
    return shifted / shifted.sum(-1, keepdims=True)


def compiled(last, loss, **options):
    kt.utils.set_random_seed(0)
    model = kt.Sequential([kt.Input((4,)), Dense(8, "tanh"), last])
    model.compile("adam", loss, **options)
    return model


def columns(p):
    return np.stack((1 - p, p), -1)


CASES = {
    "sigmoid": (lambda: Dense(1, "sigmoid"), "binary_crossentropy", Y2, lambda o: columns(o[:, 0])),
    "logit": (
        lambda: Dense(1), kt.losses.BinaryCrossentropy(from_logits=True), Y2, lambda o: columns(sigmoid(o[:, 0])),
    ),
    "torch's logit": (lambda: Dense(1), nn.BCEWithLogitsLoss(), Y2, lambda o: columns(sigmoid(o[:, 0]))),
    "softmax of 2": (lambda: Dense(2, "softmax"), "sparse_categorical_crossentropy", Y2, lambda o: o),
    "softmax of 3": (lambda: Dense(3, "softmax"), "sparse_categorical_crossentropy", Y3, lambda o: o),
    "logits of 3": (lambda: Dense(3), "cross_entropy", Y3, softmax),
    "torch's logits of 3": (lambda: Dense(3), nn.CrossEntropyLoss(), Y3, softmax),
    "one-hot": (lambda: Dense(3, "softmax"), "categorical_crossentropy", np.eye(3, dtype="float32")[Y3], lambda o: o),
    "log-probabilities": (lambda: Dense(3, "log_softmax"), nn.NLLLoss(), Y3, np.exp),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_outputs_become_probabilities_as_the_loss_defines(case):
    last, loss, y, expected = CASES[case]
    model = compiled(last(), loss)
    found = report(model, X, y, n_bootstrap=0)
    probabilities = expected(model.predict(X, verbose=0))
    numbers = y.argmax(1) if y.ndim == 2 else y
    assert found.task == ("binary" if probabilities.shape[1] == 2 else "multiclass")
    assert found.probabilities == pytest.approx(probabilities, abs=1e-6)
    assert np.array_equal(found.y_true, numbers)
    assert np.array_equal(found.y_pred, probabilities.argmax(1))
    assert found.metrics["log_loss"] == pytest.approx(sk.log_loss(numbers, probabilities), rel=1e-4)
    assert found.logs["loss"] == pytest.approx(found.metrics["log_loss"], rel=1e-4)


def test_values_of_one_and_several_columns():
    y = np.stack([X[:, 0], 3 * X[:, 1]], 1)
    model = compiled(Dense(2), "mse", metrics=["mae"])
    found = report(model, X, y, n_bootstrap=0)
    predicted = model.predict(X, verbose=0)
    assert found.task == "regression"
    assert found.metrics["rmse"] == pytest.approx(sk.root_mean_squared_error(y, predicted), rel=1e-5)
    assert found.per_column["1"]["mae"] == pytest.approx(sk.mean_absolute_error(y[:, 1], predicted[:, 1]), rel=1e-5)
    assert found.logs["mae"] == pytest.approx(found.metrics["mae"], rel=1e-5)
    assert found.prediction_intervals.low.shape == (2,)


def test_a_vector_of_targets_beside_a_column_of_outputs_is_not_broadcast():
    model = compiled(Dense(1), "mse")
    found = report(model, X, X[:, 0], n_bootstrap=0)
    assert found.y_true.shape == found.y_pred.shape == (90,)
    assert found.metrics["mae"] == pytest.approx(np.abs(X[:, 0] - model.predict(X, verbose=0)[:, 0]).mean(), rel=1e-5)


def test_logarithms_of_counts_become_counts():
    y = np.random.default_rng(0).poisson(np.exp(X[:, 0])).astype("float32")
    model = compiled(Dense(1), nn.PoissonNLLLoss())
    found = report(model, X, y, n_bootstrap=0)
    assert found.task == "regression"
    assert found.y_pred == pytest.approx(np.exp(model.predict(X, verbose=0)[:, 0].astype(np.float64)), rel=1e-6)


def test_several_questions_are_a_multilabel_task():
    y = (X[:, :3] > 0).astype("float32")
    model = compiled(Dense(3, "sigmoid"), "binary_crossentropy")
    found = report(model, X, y, class_names=["a", "b", "c"], n_bootstrap=0)
    p = model.predict(X, verbose=0)
    assert found.task == "multilabel"
    assert found.metrics["f1_macro"] == pytest.approx(sk.f1_score(y, p > 0.5, average="macro"), rel=1e-6)
    assert list(found.per_class) == ["a", "b", "c"]


def test_margins_are_ranked_and_have_no_calibration():
    model = compiled(Dense(1), "hinge")
    found = report(model, X, 2 * Y2 - 1, n_bootstrap=0)
    margins = model.predict(X, verbose=0)[:, 0]
    assert found.metrics["roc_auc"] == pytest.approx(sk.roc_auc_score(Y2, margins))
    assert found.metrics["accuracy"] == pytest.approx(((margins > 0) == Y2).mean())
    assert found.calibration is None
    assert "log_loss" not in found.metrics
    assert any("not probabilities" in note for note in found.notes)


def test_a_loss_function_leaves_logits_unknown_until_the_user_says_it():
    def loss(y_true, y_pred):
        return torch.nn.functional.binary_cross_entropy_with_logits(y_pred, y_true)

    model = compiled(Dense(1), loss)
    with pytest.raises(ValueError, match="from_logits=True"):
        report(model, X, Y2)
    found = report(model, X, Y2, from_logits=True, n_bootstrap=0)
    assert found.probabilities[:, 1] == pytest.approx(sigmoid(model.predict(X, verbose=0)[:, 0]))


def test_the_task_can_be_named():
    model = compiled(Dense(1, "sigmoid"), "mse")
    assert report(model, X, Y2, n_bootstrap=0).task == "regression"
    found = report(model, X, Y2, task="binary", n_bootstrap=0)
    assert found.metrics["accuracy"] == pytest.approx(((model.predict(X, verbose=0)[:, 0] > 0.5) == Y2).mean())
    with pytest.raises(ValueError, match="does not fit"):
        report(model, X, Y2, task="multiclass")
    with pytest.raises(ValueError, match=r"Unknown task 'regresion'\. Did you mean 'regression'"):
        report(model, X, Y2, task="regresion")


def test_evaluate_returns_the_same_report():
    model = compiled(Dense(3, "softmax"), "sparse_categorical_crossentropy", metrics=["accuracy"])
    expected = model.evaluate(X, Y3, verbose=0, return_dict=True)
    found = model.evaluate(X, Y3, verbose=0, report=True)
    assert isinstance(found, Report)
    assert found.logs == expected
    assert found.metrics == report(model, X, Y3).metrics
    assert found.metrics["accuracy"] == pytest.approx(expected["accuracy"])
    named = model.evaluate(X, Y3, verbose=0, report={"class_names": ["low", "middle", "high"], "n_bootstrap": 0})
    assert named.class_names == ("low", "middle", "high")
    with pytest.raises(TypeError, match=r"Unknown option of a report 'classnames'\. Did you mean 'class_names'"):
        model.evaluate(X, Y3, report={"classnames": []})
    with pytest.raises(TypeError, match="report must be True"):
        model.evaluate(X, Y3, report="all")


def test_an_evaluation_after_a_report_is_as_before():
    model = compiled(Dense(3, "softmax"), "sparse_categorical_crossentropy", metrics=["accuracy"])
    before = model.evaluate(X, Y3, verbose=0, return_dict=True)
    report(model, X, Y3, n_bootstrap=0)
    assert model.evaluate(X, Y3, verbose=0, return_dict=True) == before
    assert model.metrics_names == ["loss", "accuracy"]
    with pytest.raises(ValueError, match="rows"):
        report(model, X, Y3, by=np.zeros(3))
    assert model.evaluate(X, Y3, verbose=0, return_dict=True) == before


@pytest.mark.parametrize("kind", ["dataset", "loader", "generator", "function", "frame"])
def test_data_of_every_kind_give_the_same_report(kind):
    model = compiled(Dense(3, "softmax"), "sparse_categorical_crossentropy")
    expected = report(model, X, Y3, n_bootstrap=0)
    batches = [(X[start : start + 25], Y3[start : start + 25]) for start in range(0, 90, 25)]
    dataset = TensorDataset(torch.tensor(X), torch.tensor(Y3))
    data = {
        "dataset": (dataset,),
        "loader": (DataLoader(dataset, 16),),
        "generator": (iter(batches),),
        "function": (lambda: iter(batches),),
        "frame": (pd.DataFrame(X, columns=list("abcd")), pd.Series(Y3)),
    }[kind]
    found = report(model, *data, n_bootstrap=0)
    assert found.metrics == pytest.approx(expected.metrics, rel=1e-6)
    assert np.array_equal(found.y_true, Y3)
    assert [one.index for one in found.worst] == [one.index for one in expected.worst]


def test_sample_weights_weight_all_metrics():
    model = compiled(Dense(3, "softmax"), "sparse_categorical_crossentropy")
    weight = np.random.default_rng(0).random(90).astype("float32")
    found = report(model, X, Y3, sample_weight=weight, n_bootstrap=0)
    p = model.predict(X, verbose=0)
    assert found.metrics["accuracy"] == pytest.approx(sk.accuracy_score(Y3, p.argmax(1), sample_weight=weight))
    assert found.metrics["log_loss"] == pytest.approx(sk.log_loss(Y3, p, sample_weight=weight), rel=1e-5)
    assert any("sample_weight" in note for note in found.notes)


def test_a_view_of_a_module_and_a_plain_module():
    net = nn.Sequential(nn.Linear(4, 3))
    model = kt.Model(net)
    model.compile("adam", nn.CrossEntropyLoss())
    assert report(model, X, Y3, n_bootstrap=0).probabilities == pytest.approx(softmax(model.predict(X, verbose=0)))
    with pytest.raises(TypeError, match=r"kt\.Model"):
        report(net, X, Y3)
    with pytest.raises(RuntimeError, match="compile"):
        report(kt.Model(net), X, Y3)


def test_a_model_that_computes_its_loss():
    class Classifier(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(4, 3)

        def forward(self, features, labels=None):
            logits = self.linear(features)
            loss = None if labels is None else nn.functional.cross_entropy(logits, labels)
            return {"loss": loss, "logits": logits}

    model = kt.Model(Classifier())
    model.compile("adam", "model")
    data = [{"features": torch.tensor(X[i : i + 30]), "labels": torch.tensor(Y3[i : i + 30])} for i in (0, 30, 60)]
    found = report(model, lambda: iter(data), n_bootstrap=0)
    with torch.no_grad():
        logits = model(torch.tensor(X))["logits"].numpy()
    assert found.probabilities == pytest.approx(softmax(logits), abs=1e-6)
    assert found.metrics["log_loss"] == pytest.approx(found.logs["loss"], rel=1e-5)


def two_outputs(loss):
    x = kt.Input((4,))
    hidden = Dense(8, "tanh")(x)
    model = kt.Model(x, {"kind": Dense(3, "softmax")(hidden), "size": Dense(1)(hidden)})
    model.compile("adam", loss)
    return model


def test_several_outputs_have_a_report_each():
    model = two_outputs({"kind": "sparse_categorical_crossentropy", "size": "mse"})
    y = {"kind": Y3, "size": X[:, 0]}
    found = report(model, X, y, class_names={"kind": ["a", "b", "c"]}, n_bootstrap=0)
    assert isinstance(found, Reports)
    assert list(found) == ["kind", "size"]
    assert (found["kind"].task, found["size"].task) == ("multiclass", "regression")
    predicted = model.predict(X, verbose=0)
    assert found["kind"].metrics["accuracy"] == pytest.approx((predicted["kind"].argmax(1) == Y3).mean())
    assert found["size"].metrics["mae"] == pytest.approx(np.abs(predicted["size"][:, 0] - X[:, 0]).mean(), rel=1e-5)
    assert found.logs == model.evaluate(X, y, verbose=0, return_dict=True)
    assert "output 'kind'" in str(found)
    assert pickle.loads(pickle.dumps(found))["kind"].metrics == found["kind"].metrics


def test_an_output_without_a_loss_has_no_report():
    model = two_outputs({"kind": "sparse_categorical_crossentropy"})
    found = report(model, X, {"kind": Y3}, n_bootstrap=0)
    assert list(found) == ["kind"]


def test_outputs_whose_names_are_known_after_the_first_batch():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(4, 2)

        def forward(self, x):
            return self.linear(x)[:, 0], self.linear(x)[:, 1]

    model = kt.Model(Two())
    model.compile("adam", "mse")
    found = report(model, X, [X[:, 0], X[:, 1]], n_bootstrap=0)
    assert list(found) == ["output_0", "output_1"]
    assert found["output_1"].y_true == pytest.approx(X[:, 1].astype(np.float64))


def test_pixels_are_places_and_rows_are_resampled_whole():
    images = np.random.default_rng(0).normal(size=(12, 1, 6, 6)).astype("float32")
    masks = (images[:, 0] > 0).astype("int64")
    masks[0, 0, 0] = 255
    kt.utils.set_random_seed(0)
    model = kt.Model(nn.Sequential(nn.Conv2d(1, 2, 3, padding=1)))
    model.compile("adam", nn.CrossEntropyLoss(ignore_index=255))
    found = report(model, images, masks, n_bootstrap=100)
    predicted = model.predict(images, verbose=0).argmax(1)
    counted = masks != 255
    assert found.n_rows == 12
    assert found.predictions.n_places == 12 * 36 - 1
    assert found.metrics["accuracy"] == pytest.approx((predicted == masks)[counted].mean())
    assert found.metrics["mean_iou"] == pytest.approx(
        sk.jaccard_score(masks[counted], predicted[counted], average="macro")
    )
    generator = np.random.default_rng(0)
    values = []
    for _ in range(100):
        rows = generator.integers(0, 12, 12)
        values.append((predicted == masks)[rows][counted[rows]].mean())
    assert found.intervals["accuracy"] == pytest.approx(tuple(np.quantile(values, [0.025, 0.975])))
    assert found.worst[0].target is None
    halves = report(model, images, masks, by=np.arange(12) < 6, n_bootstrap=0).slices
    assert halves["group=True"].metrics["accuracy"] == pytest.approx((predicted == masks)[:6][counted[:6]].mean())


def test_binary_masks_of_pixels():
    images = np.random.default_rng(0).normal(size=(10, 1, 5, 5)).astype("float32")
    masks = (images > 0).astype("float32")
    model = kt.Model(nn.Sequential(nn.Conv2d(1, 1, 3, padding=1)))
    model.compile("adam", nn.BCEWithLogitsLoss())
    found = report(model, images, masks, n_bootstrap=0)
    predicted = model.predict(images, verbose=0) > 0
    assert found.task == "binary"
    assert found.metrics["f1"] == pytest.approx(sk.f1_score(masks.ravel(), predicted.ravel()))


def test_steps_of_sequences_of_different_lengths():
    lengths = [3, 5, 4]
    generator = np.random.default_rng(0)
    batches = [(generator.normal(size=(2, n, 4)).astype("float32"), generator.integers(0, 3, (2, n))) for n in lengths]
    model = kt.Sequential([Dense(3, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    found = report(model, lambda: iter(batches), n_bootstrap=0)
    y = np.concatenate([one.ravel() for _, one in batches])
    p = np.concatenate([model.predict(x, verbose=0).reshape(-1, 3) for x, _ in batches])
    assert found.n_rows == 6
    assert found.metrics["accuracy"] == pytest.approx((p.argmax(1) == y).mean())


def test_masked_steps_do_not_count():
    tokens = np.array([[1, 2, 3, 0], [3, 1, 0, 0], [2, 2, 1, 3]])
    y = np.array([[0, 1, 2, 0], [2, 0, 0, 0], [1, 1, 0, 2]])
    kt.utils.set_random_seed(0)
    model = kt.Sequential([kt.layers.Embedding(4, 5, mask_zero=True), Dense(3, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    found = report(model, tokens, y, n_bootstrap=0)
    assert found.metrics["accuracy"] == pytest.approx(found.logs["accuracy"])
    assert found.n_rows == 9
    with pytest.raises(ValueError, match="mask"):
        report(model, tokens, y, by=["a", "b", "a"])


def test_a_test_step_of_the_users_own_decides_what_is_reported():
    class Doubled(kt.Sequential):
        def test_step(self, data):
            x, y = data
            y_pred = self(2 * x)
            self.compute_loss(x, y, y_pred)
            return self.compute_metrics(x, y, y_pred)

    model = Doubled([Dense(3, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    found = report(model, X, Y3, n_bootstrap=0)
    assert found.probabilities == pytest.approx(model.predict(2 * X, verbose=0), abs=1e-6)

    class Silent(kt.Sequential):
        def test_step(self, data):
            return {"loss": 0.0}

    model = Silent([Dense(3, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match="report_from_predictions"):
        report(model, X, Y3)


def test_an_estimator_of_scikit_learn():
    from sklearn.linear_model import LinearRegression, LogisticRegression
    from sklearn.svm import LinearSVC

    names = np.array(["low", "middle", "high"])[Y3]
    estimator = LogisticRegression().fit(X, names)
    found = report(estimator, X, names, n_bootstrap=0)
    assert found.class_names == ("high", "low", "middle")
    assert found.metrics["accuracy"] == pytest.approx(estimator.score(X, names))
    assert found.metrics["log_loss"] == pytest.approx(sk.log_loss(names, estimator.predict_proba(X)))
    assert report(LinearSVC().fit(X, names), X, names).calibration is None
    values = report(LinearRegression().fit(X, X[:, 0] + 1), X, X[:, 0] + 1, n_bootstrap=0)
    assert values.task == "regression"
    assert values.metrics["r2"] == pytest.approx(1)
    with pytest.raises(ValueError, match="not trained on"):
        report(estimator, X, np.where(names == "low", "tiny", names))
    with pytest.raises(TypeError, match="estimator with predict"):
        report(object(), X, Y3)


def test_a_loss_of_all_outputs_says_what_to_do():
    class Normal(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(4, 2)

        def forward(self, x):
            found = self.linear(x)
            return found[:, :1], found[:, 1:].exp()

    model = kt.Model(Normal())
    model.compile("adam", nn.GaussianNLLLoss())
    with pytest.raises(ValueError, match="report_from_predictions"):
        report(model, X, X[:, :1])


@pytest.mark.parametrize(("y", "task"), [(Y3, "regression"), (X[:, 0], "regression"), (Y3 + 5.0, "regression")])
def test_a_loss_function_and_values_are_a_regression(y, task):
    model = compiled(Dense(1), lambda y_true, y_pred: ((y_true - y_pred) ** 2).mean())
    assert report(model, X, y, n_bootstrap=0).task == task


def test_a_loss_function_and_class_numbers_are_a_classification():
    def loss(y_true, y_pred):
        return torch.nn.functional.cross_entropy(y_pred, y_true)

    found = report(compiled(Dense(3), loss), X, Y3, n_bootstrap=0)
    assert found.task == "multiclass"
    assert found.probabilities is None
    assert any("pass from_logits=True" in note for note in found.notes)
    assert report(compiled(Dense(3), loss), X, Y3, from_logits=True, n_bootstrap=0).calibration is not None


def test_an_estimator_of_kerastorch():
    names = np.array(["low", "middle", "high"])[Y3]
    estimator = kt.wrappers.SKLearnClassifier(fit_kwargs={"epochs": 2, "verbose": 0}).fit(X, names)
    found = report(estimator, X, names, n_bootstrap=0)
    assert found.class_names == tuple(estimator.classes_)
    assert found.metrics["accuracy"] == pytest.approx(estimator.score(X, names))
