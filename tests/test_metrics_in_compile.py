"""Metric classes and weighted metrics in `compile`: what they are given, what they log, and when they are reset."""

import numpy as np
import pytest
import torch
from sklearn import metrics as sk
from torch import nn

import kerastorch as kt

RNG = np.random.default_rng(3)
N = 300
LOGITS = RNG.normal(size=(N, 1)).astype("float32") * 2
LABELS = (LOGITS[:, 0] + RNG.normal(size=N) > 0).astype("float32")
SCORES = RNG.normal(size=(N, 4)).astype("float32") * 2
CLASSES = np.where(RNG.random(N) < 0.5, SCORES.argmax(1), RNG.integers(0, 4, N))
WEIGHT = RNG.random(N).astype("float32")


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def softmax(z):
    return np.exp(z) / np.exp(z).sum(-1, keepdims=True)


P, Q = sigmoid(LOGITS)[:, 0], softmax(SCORES)


def evaluate(outputs, targets, loss, metrics=None, sample_weight=None, batch_size=32, **options):
    """Return the logs of a model that returns its inputs."""
    model = kt.Model(nn.Flatten(0, -1) if np.ndim(outputs) == 1 else nn.Identity())
    model.compile("sgd", loss, metrics=metrics, **options)
    return model.evaluate(
        outputs, targets, sample_weight=sample_weight, batch_size=batch_size, verbose=0, return_dict=True
    )


def only(outputs, targets, loss, metric, **options):
    return evaluate(outputs, targets, loss, [("value", metric)], **options)["value"]


# --- logits and probabilities ---------------------------------------------------------------------------------

BINARY = {
    "Precision": (kt.metrics.Precision, lambda y, p: sk.precision_score(y, p > 0.5)),
    "Recall": (kt.metrics.Recall, lambda y, p: sk.recall_score(y, p > 0.5)),
    "TruePositives": (kt.metrics.TruePositives, lambda y, p: ((p > 0.5) * y).sum()),
    "BinaryAccuracy": (kt.metrics.BinaryAccuracy, lambda y, p: ((p > 0.5) == y).mean()),
    "AUC": (lambda: kt.metrics.AUC(num_thresholds=10001), sk.roc_auc_score),
    "F1Score": (lambda: kt.metrics.F1Score(average="micro", threshold=0.5), lambda y, p: sk.f1_score(y, p > 0.5)),
    "BinaryCrossentropy": (kt.metrics.BinaryCrossentropy, sk.log_loss),
    "MeanSquaredError": (kt.metrics.MeanSquaredError, sk.mean_squared_error),
    "BinaryIoU": (lambda: kt.metrics.BinaryIoU([1]), lambda y, p: sk.jaccard_score(y, p >= 0.5)),
}


@pytest.mark.parametrize("loss", [nn.BCEWithLogitsLoss, lambda: kt.losses.BinaryCrossentropy(from_logits=True)])
@pytest.mark.parametrize("name", BINARY)
def test_a_class_gets_the_probabilities_of_logits(name, loss):
    make, oracle = BINARY[name]
    assert only(LOGITS, LABELS, loss(), make()) == pytest.approx(oracle(LABELS, P), abs=2e-4)


@pytest.mark.parametrize("name", BINARY)
def test_a_class_gets_probabilities_as_they_are(name):
    make, oracle = BINARY[name]
    for loss in ("binary_crossentropy", "mse"):
        assert only(P[:, None], LABELS, loss, make()) == pytest.approx(oracle(LABELS, P), abs=2e-4)


@pytest.mark.parametrize(
    "metric",
    [
        kt.metrics.BinaryAccuracy(threshold=0.0), kt.metrics.Precision(thresholds=0), kt.metrics.Recall(thresholds=[0]),
        kt.metrics.AUC(from_logits=True, num_thresholds=10001), kt.metrics.BinaryCrossentropy(from_logits=True),
    ],
    ids=lambda metric: metric.name,
)  # fmt: skip
def test_a_class_that_is_made_for_logits_gets_logits(metric):
    _, oracle = BINARY[{"auc": "AUC"}.get(metric.name, type(metric).__name__)]
    for loss in (nn.BCEWithLogitsLoss(), lambda y_true, y_pred: ((y_true - y_pred) ** 2).mean()):
        assert only(LOGITS, LABELS, loss, metric) == pytest.approx(oracle(LABELS, P), abs=2e-4)


def test_outputs_of_which_nothing_tells_what_they_are_are_refused_if_they_cannot_be_probabilities():
    def own(y_true, y_pred):
        return ((y_true - y_pred) ** 2).mean()

    with pytest.raises(ValueError, match="metric 'precision' needs probabilities, and the outputs have values from -"):
        evaluate(LOGITS, LABELS, own, [kt.metrics.Precision()])
    assert only(P[:, None], LABELS, own, kt.metrics.Precision()) == pytest.approx(sk.precision_score(LABELS, P > 0.5))


@pytest.mark.parametrize("loss", ["hinge", "squared_hinge"])
def test_labels_minus_one_and_one_are_no_and_yes(loss):
    signs = 2 * LABELS - 1
    for make, oracle in (BINARY["Precision"], BINARY["BinaryAccuracy"]):
        assert only(LOGITS, signs, loss, make()) == pytest.approx(oracle(LABELS, P))


def test_a_class_beside_class_numbers_says_what_to_do():
    with pytest.raises(ValueError, match=r"the shapes must match\. If y_true holds class numbers, convert it with"):
        evaluate(SCORES, CLASSES, "cross_entropy", [kt.metrics.Precision()])


MULTICLASS = {
    "SparseCategoricalAccuracy": lambda y, q: sk.accuracy_score(y, q.argmax(-1)),
    "SparseTopKCategoricalAccuracy": lambda y, q: sk.top_k_accuracy_score(y, q, k=2),
    "SparseCategoricalCrossentropy": sk.log_loss,
    "MeanIoU": lambda y, q: sk.jaccard_score(y, q.argmax(-1), average="macro"),
}
OPTIONS = {"SparseTopKCategoricalAccuracy": {"k": 2}, "MeanIoU": {"num_classes": 4, "sparse_y_pred": False}}


def made(name):
    return getattr(kt.metrics, name)(**OPTIONS.get(name, {}))


@pytest.mark.parametrize("name", MULTICLASS)
def test_a_class_of_class_numbers_takes_logits_and_probabilities(name):
    expected = MULTICLASS[name](CLASSES, Q)
    assert only(SCORES, CLASSES, "cross_entropy", made(name)) == pytest.approx(expected, rel=1e-4)
    assert only(Q, CLASSES, "sparse_categorical_crossentropy", made(name)) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("name", MULTICLASS)
def test_classes_on_axis_1_are_moved_to_the_last_axis(name):
    images = SCORES.reshape(25, 3, 4, 4).transpose(0, 3, 1, 2)  # (batch, classes, height, width)
    numbers = CLASSES.reshape(25, 3, 4)
    found = only(np.ascontiguousarray(images), numbers, nn.CrossEntropyLoss(), made(name))
    assert found == pytest.approx(MULTICLASS[name](CLASSES, Q), rel=1e-4)


def padded(lengths=(5, 9, 3), ignored=-100):
    """Return batches of sequences of different lengths, and all of their steps that count."""
    batches, scores, numbers = [], [], []
    for length in lengths:
        z = torch.as_tensor(RNG.normal(size=(4, length, 4)).astype("float32"))
        y = torch.as_tensor(RNG.integers(0, 4, (4, length)))
        y[:, -1] = ignored
        y[1, 1:] = ignored
        batches.append((z.movedim(-1, 1), y))
        scores.append(z[y != ignored])
        numbers.append(y[y != ignored])
    return batches, softmax(torch.cat(scores).numpy()), torch.cat(numbers).numpy()


NAMES_OF_STEPS = {
    "accuracy": lambda y, q: sk.accuracy_score(y, q.argmax(-1)),
    "f1": lambda y, q: sk.f1_score(y, q.argmax(-1), average="macro"),
    "auc": lambda y, q: sk.roc_auc_score(y, q, multi_class="ovr"),
    "crossentropy": sk.log_loss,
    "mean_iou": MULTICLASS["MeanIoU"],
}


@pytest.mark.parametrize("name", [*MULTICLASS, *NAMES_OF_STEPS])
def test_batches_padded_to_different_lengths_count_the_steps_that_are_not_ignored(name):
    batches, q, y = padded()
    model = kt.Model(nn.Identity())
    metric = made(name) if name in MULTICLASS else name
    model.compile("sgd", nn.CrossEntropyLoss(ignore_index=-100), metrics=[("value", metric)])
    found = model.evaluate(lambda: iter(batches), verbose=0, return_dict=True)["value"]
    assert found == pytest.approx({**MULTICLASS, **NAMES_OF_STEPS}[name](y, q), rel=1e-4)


def test_a_function_cannot_be_computed_on_batches_of_different_lengths():
    model = kt.Model(nn.Identity())
    model.compile("sgd", nn.CrossEntropyLoss(ignore_index=-100), metrics=[lambda y_true, y_pred: y_pred.mean()])
    with pytest.raises(
        ValueError, match="is a function, which is called once on all rows, and batches differ in shape"
    ):
        model.evaluate(lambda: iter(padded()[0]), verbose=0)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("metric", ["accuracy", "BinaryAccuracy", "f1"])
def test_masked_steps_do_not_count(metric, weighted):
    x = torch.as_tensor(RNG.normal(size=(20, 6, 3)).astype("float32"))
    for row, length in enumerate(RNG.integers(1, 7, 20)):
        x[row, length:] = 0
    y, w = torch.as_tensor(RNG.integers(0, 2, (20, 6))).float(), torch.as_tensor(RNG.random(20).astype("float32"))
    layers = [kt.layers.Input((6, 3)), kt.layers.Masking(), kt.layers.Dense(1, activation="sigmoid")]
    model = kt.Sequential(layers)
    given = kt.metrics.BinaryAccuracy() if metric == "BinaryAccuracy" else metric
    key = "weighted_metrics" if weighted else "metrics"
    model.compile("sgd", "binary_crossentropy", **{key: [("value", given)]})
    found = model.evaluate(x, y[..., None], sample_weight=w, batch_size=7, verbose=0, return_dict=True)["value"]
    counts = (x != 0).any(-1)
    yes = torch.as_tensor(model.predict(x, verbose=0))[..., 0][counts] > 0.5
    weights = w[:, None].expand(20, 6)[counts] if weighted else None
    oracle = sk.f1_score if metric == "f1" else sk.accuracy_score
    assert found == pytest.approx(oracle(y[counts], yes, sample_weight=weights), rel=1e-5)


# --- batches, passes and the user's object --------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, 7, 300])
def test_values_do_not_depend_on_the_batch_size(batch_size):
    metrics = [make() for make, _ in BINARY.values()]
    found = evaluate(LOGITS, LABELS, nn.BCEWithLogitsLoss(), metrics, batch_size=batch_size)
    del found["loss"]
    again = evaluate(LOGITS, LABELS, nn.BCEWithLogitsLoss(), [make() for make, _ in BINARY.values()], batch_size=64)
    assert found == {name: value for name, value in again.items() if name != "loss"}


@pytest.mark.parametrize("jit_compile", [False, True])
def test_the_object_of_the_user_holds_the_value_after_a_pass(jit_compile):
    metric = kt.metrics.AUC(name="area")
    model = kt.Sequential([kt.layers.Input((1,)), kt.layers.Dense(1, activation="sigmoid")])
    model.compile("sgd", "binary_crossentropy", metrics=[metric], jit_compile=jit_compile)
    history = model.fit(LOGITS[:256], LABELS[:256], epochs=2, verbose=0).history
    assert float(metric.result()) == history["area"][-1]
    assert model.evaluate(LOGITS, LABELS, verbose=0)[1] == float(metric.result())
    metric.reset_state()
    assert float(metric.result()) == 0


def test_a_validation_and_a_callback_that_evaluates_leave_the_training_value_alone():
    class Evaluates(kt.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.evaluate(1 - LOGITS, LABELS, verbose=0)

    def train(**options):
        kt.utils.set_random_seed(0)
        model = kt.Sequential([kt.layers.Input((1,)), kt.layers.Dense(1, activation="sigmoid")])
        model.compile("sgd", "binary_crossentropy", metrics=[kt.metrics.AUC(), Count()])
        return model.fit(LOGITS, LABELS, epochs=2, verbose=0, **options).history

    alone, disturbed = train(), train(callbacks=[Evaluates()], validation_data=(1 - LOGITS, LABELS))
    assert disturbed["auc"] == alone["auc"]
    assert disturbed["count"] == alone["count"] == [10.0, 10.0]
    assert disturbed["val_auc"] != alone["auc"]


class Count(kt.metrics.Metric):
    """Counts batches, with a variable that the first one creates, and with a number of Python."""

    def __init__(self, name="count", **kwargs):
        super().__init__(name=name, **kwargs)
        self.python, self.built = 0, False

    def update_state(self, y_true, y_pred, sample_weight=None):
        if not self.built:
            self.batches = self.add_weight(name="batches")
            self.built = True
        self.batches.assign_add(1)
        self.python += 1

    def result(self):
        assert self.python == int(self.batches)
        return self.batches

    def reset_state(self):
        super().reset_state()
        self.python = 0


def test_a_metric_of_ones_own_is_updated_with_each_batch():
    assert only(LOGITS, LABELS, "mse", Count(), batch_size=32) == 10
    assert only(LOGITS, LABELS, "mse", Count(), batch_size=100) == 3


class Stop(Exception):
    pass


class Dies(kt.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if batch == 6 and self.model.trainer.state.epoch == 1:
            raise Stop


def test_metrics_are_resumed_in_the_middle_of_an_epoch(tmp_path):
    def make():
        kt.utils.set_random_seed(0)
        model = kt.Sequential([kt.layers.Input((1,)), kt.layers.Dense(1, activation="sigmoid")])
        metrics = [Count(), kt.metrics.AUC(multi_label=True), kt.metrics.R2Score(), kt.metrics.F1Score()]
        weighted = [kt.metrics.Precision(name="p"), "auc", "accuracy"]
        model.compile("sgd", "binary_crossentropy", metrics=metrics, weighted_metrics=weighted)
        return model

    def fit(model, *callbacks):
        return model.fit(LOGITS, LABELS, sample_weight=WEIGHT, epochs=3, verbose=0, callbacks=[*callbacks]).history

    expected = fit(make())
    with pytest.raises(Stop):
        fit(make(), kt.callbacks.BackupAndRestore(tmp_path, save_freq=3), Dies())
    resumed = make()
    found = fit(resumed, kt.callbacks.BackupAndRestore(tmp_path, save_freq=3))
    assert {name: values[-2:] for name, values in found.items()} == {
        name: values[-2:] for name, values in expected.items()
    }


def test_a_saved_model_has_its_metrics(tmp_path):
    model = kt.Sequential([kt.layers.Input((1,)), kt.layers.Dense(1, activation="sigmoid")])
    metrics = [kt.metrics.Precision(thresholds=[0.3, 0.6], name="p"), kt.metrics.MeanMetricWrapper(kt.losses.mae)]
    model.compile("sgd", "mse", metrics=metrics, weighted_metrics=[("area", kt.metrics.AUC(curve="PR")), "accuracy"])
    expected = model.evaluate(LOGITS, LABELS, sample_weight=WEIGHT, verbose=0, return_dict=True)
    model.save(tmp_path / "model.kt")
    loaded = kt.saving.load_model(tmp_path / "model.kt")
    assert loaded.evaluate(LOGITS, LABELS, sample_weight=WEIGHT, verbose=0, return_dict=True) == expected


# --- names ----------------------------------------------------------------------------------------------------


def test_names_in_the_logs():
    from torchmetrics.classification import BinaryF1Score

    found = evaluate(
        P[:, None],
        LABELS,
        "binary_crossentropy",
        [
            "accuracy", kt.metrics.Precision(name="p"), kt.metrics.Precision(), kt.metrics.Precision(),
            ("area", kt.metrics.AUC()), ("f", BinaryF1Score()), kt.metrics.mean_squared_error, "MeanAbsoluteError",
        ],
        weighted_metrics=["accuracy", "acc", kt.metrics.Precision()],
    )  # fmt: skip
    assert list(found) == [
        "loss", "accuracy", "p", "precision", "precision_1", "area", "f", "mean_squared_error", "MeanAbsoluteError",
        "weighted_accuracy", "acc", "weighted_precision",
    ]  # fmt: skip
    assert found["f"] == pytest.approx(sk.f1_score(LABELS, P > 0.5))


def test_one_object_for_two_uses_is_refused():
    metric = kt.metrics.Precision(name="p")
    for options in ({"metrics": [metric, metric]}, {"metrics": [metric], "weighted_metrics": [metric]}):
        with pytest.raises(ValueError, match="the metric object 'p' is given twice"):
            kt.Model(nn.Identity()).compile("sgd", "mse", **options)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("precision_at_recall", r"It needs a bound: pass an instance such as metrics.PrecisionAtRecall\(0.5\)"),
        ("BinaryIoU", "It needs arguments"),
        ("mean", "It reduces values"),
    ],
)
def test_a_name_that_needs_arguments_says_so(name, message):
    with pytest.raises(ValueError, match=message):
        kt.metrics.get(name)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (kt.metrics.PrecisionAtRecall, "precision_at_recall|PrecisionAtRecall needs arguments"),
        (kt.metrics.Mean(), "Mean reduces values"),
        (kt.metrics.PearsonCorrelation(axis=0), "axis=0, the rows"),
    ],
)
def test_a_metric_that_compile_cannot_use_is_refused(given, message):
    with pytest.raises((TypeError, ValueError), match=message):
        kt.metrics.get(given)


COUNTS = {"true_positives": (1, 1), "false_positives": (0, 1), "true_negatives": (0, 0), "false_negatives": (1, 0)}


@pytest.mark.parametrize("name", COUNTS)
def test_counts_by_name_are_those_of_the_probabilities_of_all_classes(name):
    true, yes = COUNTS[name]
    expected = ((true == LABELS) & ((P > 0.5) == yes)).sum()
    assert only(LOGITS, LABELS, nn.BCEWithLogitsLoss(), name) == expected
    expected = ((np.eye(4)[CLASSES] == true) & ((Q > 0.5) == yes)).sum()
    assert only(SCORES, CLASSES, "cross_entropy", name) == expected


@pytest.mark.parametrize("name", ["mean_iou", "mean_io_u", "MeanIoU"])
def test_mean_iou_by_name_is_that_of_all_classes(name):
    assert only(SCORES, CLASSES, "cross_entropy", name) == pytest.approx(MULTICLASS["MeanIoU"](CLASSES, Q))
    expected = sk.jaccard_score(LABELS, P > 0.5, average="macro")
    assert only(LOGITS, LABELS, nn.BCEWithLogitsLoss(), name) == pytest.approx(expected)


# --- weights --------------------------------------------------------------------------------------------------


def macro(function):
    return lambda y, p, w: function(y, p.argmax(-1), sample_weight=w, average="macro")


def specificity(y, yes, w):
    return sk.recall_score(1 - y, ~yes, sample_weight=w)


def weighted_mean(values, w):
    return np.average(values, weights=w)


WEIGHTED_BINARY = {
    "accuracy": lambda y, p, w: sk.accuracy_score(y, p > 0.5, sample_weight=w),
    "binary_accuracy": lambda y, p, w: sk.accuracy_score(y, p > 0.5, sample_weight=w),
    "precision": lambda y, p, w: sk.precision_score(y, p > 0.5, sample_weight=w),
    "recall": lambda y, p, w: sk.recall_score(y, p > 0.5, sample_weight=w),
    "f1": lambda y, p, w: sk.f1_score(y, p > 0.5, sample_weight=w),
    "specificity": lambda y, p, w: specificity(y, p > 0.5, w),
    "iou": lambda y, p, w: sk.jaccard_score(y, p > 0.5, sample_weight=w),
    "mean_iou": lambda y, p, w: sk.jaccard_score(y, p > 0.5, sample_weight=w, average="macro"),
    "cohen_kappa": lambda y, p, w: sk.cohen_kappa_score(y, p > 0.5, sample_weight=w),
    "matthews_corrcoef": lambda y, p, w: sk.matthews_corrcoef(y, p > 0.5, sample_weight=w),
    "auc": lambda y, p, w: sk.roc_auc_score(y, p, sample_weight=w),
    "average_precision": lambda y, p, w: sk.average_precision_score(y, p, sample_weight=w),
    "crossentropy": lambda y, p, w: sk.log_loss(y, p, sample_weight=w),
    "mse": lambda y, p, w: sk.mean_squared_error(y, p, sample_weight=w),
    "rmse": lambda y, p, w: sk.root_mean_squared_error(y, p, sample_weight=w),
    "true_positives": lambda y, p, w: (y * (p > 0.5) * w).sum(),
}
WEIGHTED_MULTICLASS = {
    "accuracy": lambda y, p, w: sk.accuracy_score(y, p.argmax(-1), sample_weight=w),
    "sparse_categorical_accuracy": lambda y, p, w: sk.accuracy_score(y, p.argmax(-1), sample_weight=w),
    "top2": lambda y, p, w: sk.top_k_accuracy_score(y, p, k=2, sample_weight=w),
    "precision": macro(sk.precision_score),
    "recall": macro(sk.recall_score),
    "f1": macro(sk.f1_score),
    "iou": macro(sk.jaccard_score),
    "mean_iou": macro(sk.jaccard_score),
    "cohen_kappa": lambda y, p, w: sk.cohen_kappa_score(y, p.argmax(-1), sample_weight=w),
    "matthews_corrcoef": lambda y, p, w: sk.matthews_corrcoef(y, p.argmax(-1), sample_weight=w),
    "auc": lambda y, p, w: sk.roc_auc_score(np.eye(4)[y], p, sample_weight=w),
    "average_precision": lambda y, p, w: sk.average_precision_score(np.eye(4)[y], p, sample_weight=w),
    "crossentropy": lambda y, p, w: sk.log_loss(y, p, sample_weight=w),
}


@pytest.mark.parametrize("weight", ["random", "ones", "none"])
@pytest.mark.parametrize("name", WEIGHTED_BINARY)
def test_a_weighted_name_of_yes_or_no_questions_is_that_of_scikit_learn(name, weight):
    w = {"random": WEIGHT, "ones": np.ones(N, "float32"), "none": None}[weight]
    expected = WEIGHTED_BINARY[name](LABELS, P, np.ones(N) if w is None else w)
    for outputs, loss in ((LOGITS, nn.BCEWithLogitsLoss()), (P[:, None], "binary_crossentropy")):
        logs = evaluate(outputs, LABELS, loss, sample_weight=w, weighted_metrics=[name])
        assert logs[name] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("weight", ["random", "ones", "none"])
@pytest.mark.parametrize("name", WEIGHTED_MULTICLASS)
def test_a_weighted_name_of_classes_is_that_of_scikit_learn(name, weight):
    w = {"random": WEIGHT, "ones": np.ones(N, "float32"), "none": None}[weight]
    expected = WEIGHTED_MULTICLASS[name](CLASSES, Q, np.ones(N) if w is None else w)
    for outputs, loss in ((SCORES, "cross_entropy"), (Q, "sparse_categorical_crossentropy")):
        logs = evaluate(outputs, CLASSES, loss, sample_weight=w, weighted_metrics=[name])
        assert logs[name] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("name", ["mae", "mse", "rmse", "huber", "r2", "log_cosh"])
def test_a_weighted_name_of_values_is_that_of_its_formula(name):
    y, p = RNG.normal(size=(N, 2)).astype("float32"), RNG.normal(size=(N, 2)).astype("float32")
    error = p - y
    expected = {
        "mae": lambda: weighted_mean(np.abs(error).mean(1), WEIGHT),
        "mse": lambda: weighted_mean((error**2).mean(1), WEIGHT),
        "rmse": lambda: weighted_mean((error**2).mean(1), WEIGHT) ** 0.5,
        "huber": lambda: weighted_mean(np.where(abs(error) < 1, error**2 / 2, abs(error) - 0.5).mean(1), WEIGHT),
        "r2": lambda: sk.r2_score(y, p, sample_weight=WEIGHT),
        "log_cosh": lambda: weighted_mean(np.log(np.cosh(error)).mean(1), WEIGHT),
    }[name]()
    logs = evaluate(p, y, "mse", sample_weight=WEIGHT, weighted_metrics=[name])
    assert logs[name] == pytest.approx(expected, rel=1e-4)


def test_a_weighted_function_and_a_metric_of_ones_own_get_the_weights():
    class WeightOf(kt.metrics.Metric):
        def __init__(self):
            super().__init__(name="weight")
            self.total = self.add_variable((), "zeros")

        def update_state(self, y_true, y_pred, sample_weight=None):
            self.total.assign_add(sample_weight.sum())

        def result(self):
            return self.total

    def largest(y_true, y_pred):
        return (y_true - y_pred).abs().amax(-1)

    def torch_order(output, target):
        return (output - target).mean(-1)

    y, p = RNG.normal(size=(N, 2)).astype("float32"), RNG.normal(size=(N, 2)).astype("float32")
    logs = evaluate(p, y, "mse", sample_weight=WEIGHT, weighted_metrics=[largest, torch_order, WeightOf()])
    assert logs["largest"] == pytest.approx(weighted_mean(np.abs(p - y).max(1), WEIGHT), rel=1e-5)
    assert logs["torch_order"] == pytest.approx(weighted_mean((p - y).mean(1), WEIGHT), rel=1e-4)
    assert logs["weight"] == pytest.approx(WEIGHT.sum(), rel=1e-6)


def test_class_weights_count_in_weighted_metrics_of_training():
    model = kt.Sequential([kt.layers.Input((1,)), kt.layers.Dense(1, activation="sigmoid", kernel_initializer="ones")])
    model.compile(kt.optimizers.SGD(1e-12), "binary_crossentropy", metrics=["accuracy"], weighted_metrics=["accuracy"])
    history = model.fit(LOGITS, LABELS, class_weight={0: 1.0, 1: 3.0}, verbose=0).history
    weights = np.where(LABELS == 1, 3.0, 1.0)
    assert history["weighted_accuracy"][0] == pytest.approx(sk.accuracy_score(LABELS, P > 0.5, sample_weight=weights))
    assert history["accuracy"][0] == pytest.approx(sk.accuracy_score(LABELS, P > 0.5))


@pytest.mark.parametrize("verb", ["train_on_batch", "test_on_batch"])
def test_single_batches_have_weighted_metrics(verb):
    model = kt.Sequential([kt.layers.Input((1,)), kt.layers.Dense(1, activation="sigmoid", kernel_initializer="ones")])
    model.compile("sgd", "binary_crossentropy", weighted_metrics=["accuracy", kt.metrics.Recall()])
    logs = getattr(model, verb)(LOGITS, LABELS, sample_weight=WEIGHT, return_dict=True)
    assert logs["accuracy"] == pytest.approx(sk.accuracy_score(LABELS, P > 0.5, sample_weight=WEIGHT))
    assert logs["recall"] == pytest.approx(sk.recall_score(LABELS, P > 0.5, sample_weight=WEIGHT))


def test_a_metric_without_weights_is_refused_in_weighted_metrics():
    from torchmetrics.classification import BinaryF1Score

    for given, kind in ((BinaryF1Score(), TypeError), ("spearman", ValueError), ("calibration_error", ValueError)):
        with pytest.raises(kind, match=r"give it in metrics=\[...\]"):
            kt.Model(nn.Identity()).compile("sgd", "mse", weighted_metrics=[given])


def loss(y_true, y_pred):
    return (y_true - y_pred).abs().mean()


@pytest.mark.parametrize("name", ["loss", "data_loss", "learning_rate", "val_loss", "val_error"])
def test_a_metric_with_the_name_of_another_log_is_an_error(name):
    for metric in ((name, "mae"), kt.metrics.MeanSquaredError(name=name)):
        with pytest.raises(ValueError, match=f"a metric cannot be called '{name}'"):
            kt.Model(nn.Linear(1, 1)).compile("sgd", "mse", metrics=[metric])
    with pytest.raises(ValueError, match="a metric cannot be called 'loss'"):
        kt.Model(nn.Linear(1, 1)).compile("sgd", "mse", metrics=[loss])


def test_a_metric_of_an_output_cannot_be_called_loss():
    class Two(nn.Module):
        def forward(self, x):
            return {"a": x, "b": 2 * x}

    model = kt.Model(Two())
    with pytest.raises(ValueError, match="a metric cannot be called 'loss'"):
        model.compile("sgd", {"a": "mse", "b": "mse"}, metrics={"a": [("loss", "mae")]})
    model.compile("sgd", {"a": "mse", "b": "mse"}, metrics={"a": [("val_error", "mae")]})
    x = torch.ones(3, 1)
    logs = model.evaluate(x, {"a": 0 * x, "b": x}, verbose=0, return_dict=True)
    assert logs["a_val_error"] == logs["a_loss"] == 1
