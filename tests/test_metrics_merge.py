"""Metrics of parts of the rows, merged, are those of all rows."""

import numpy as np
import pytest
import torch
from sklearn import metrics as sk
from support.parts import CPU, SPLITS, fill, in_parts, merged, sent, tracker

import kerastorch as kt
from kerastorch.training.mean import Mean
from kerastorch.training.metrics_tracker import MetricsTracker
from kerastorch.training.scores import Scores

pytestmark = [
    pytest.mark.filterwarnings("ignore:Metric `SpearmanCorrcoef` will save"),
    pytest.mark.filterwarnings("ignore:reduction. 'mean' divides"),
]
N = 90
torch.manual_seed(3)
SEVENTHS = torch.arange(N) * 7 // N  # sorted, so that parts lack classes
WEIGHT = torch.rand(N) * 2
TASKS = {  # loss, outputs, targets
    "binary": ("binary_crossentropy", torch.rand(N, 1), (torch.arange(N) >= 55).float().reshape(N, 1)),
    "multiclass": ("cross_entropy", torch.randn(N, 7), SEVENTHS),
    "multilabel": ("binary_cross_entropy_with_logits", torch.randn(N, 3), (torch.rand(N, 3) > 0.5).float()),
    "one-hot": (
        "categorical_crossentropy", torch.rand(N, 7).softmax(1), torch.nn.functional.one_hot(SEVENTHS, 7).float(),
    ),
    "regression": ("mse", torch.rand(N, 2) + 0.1, torch.rand(N, 2) + 0.1),
}  # fmt: skip
# float32 values of single rows depend on their place in a vector
OF_ROWS = 2e-7
# no name of a task above: they need lengths of sequences, or class numbers for several labels
OTHERS = {"ctc", "categorical_generalized_cross_entropy", "multi_label_margin_loss", "multilabel_margin_loss"}
COUNTS = {
    "accuracy", "acc", "binary_accuracy", "categorical_accuracy", "sparse_categorical_accuracy", "precision", "recall",
    "f1", "f1_score", "auc", "auroc", "roc_auc", "average_precision", "specificity", "cohen_kappa", "matthews_corrcoef",
    "iou", "jaccard", "mean_iou", "mean_io_u", "top5", "top3", "top2", "true_positives", "false_positives",
    "true_negatives", "false_negatives", "spearman",
}  # fmt: skip


def same(one, other):
    return one == other or (one != one and other != other)


def check(name, weighted, whole, found):
    assert found.keys() == whole.keys()
    for key, value in whole.items():
        if name in COUNTS and not weighted:
            assert same(found[key], value), (name, found[key], value)
        else:
            assert found[key] == pytest.approx(value, rel=OF_ROWS, abs=1e-9, nan_ok=True), name


def tasks_of(name, weighted):
    """Yield what a name can be computed of, with the values of all rows."""
    for task, (loss, y_pred, y_true) in TASKS.items():
        try:
            whole = fill(tracker([name], loss, weighted=weighted), y_pred, y_true, WEIGHT if weighted else None).read()
        except (ValueError, TypeError, RuntimeError, IndexError):  # not defined for the task
            continue
        yield task, loss, y_pred, y_true, whole


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", [name for name in kt.metrics.NAMES if name not in OTHERS])
def test_every_name_is_merged_to_the_value_of_all_rows(name, weighted):
    weight, found = WEIGHT if weighted else None, []
    for _, loss, y_pred, y_true, whole in tasks_of(name, weighted):
        found.append(whole)
        for split in ("first empty", "three"):
            parts = in_parts(
                lambda loss=loss: tracker([name], loss, True, weighted), SPLITS[split], y_pred, y_true, weight
            )
            check(name, weighted, whole, merged(parts).read())
    assert found or weighted


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("task", TASKS)
def test_the_ways_to_cut_rows_make_no_difference(task, split):
    names = {
        "regression": ["mae", "r2", "pearson", "spearman", "explained_variance", "pearson_correlation"],
        "binary": ["accuracy", "auc", "f1", "calibration_error", "true_positives", "crossentropy"],
    }.get(task, ["accuracy", "auc", "f1", "average_precision", "mean_iou"])
    loss, y_pred, y_true = TASKS[task]
    whole = fill(tracker(names, loss), y_pred, y_true).read()
    parts = in_parts(lambda: tracker(names, loss, True), SPLITS[split], y_pred, y_true)
    found = [merged(parts, at).read() for at in range(len(parts))]
    assert found[0].keys() == whole.keys()
    for name in whole:
        check(name, False, {name: whole[name]}, {name: found[0][name]})
    assert all(one == found[0] for one in found)  # every process gets the same bits


@pytest.mark.parametrize(
    ("task", "names"),
    [
        ("regression", ["mae", "rmse", "log_cosh", "r2", "explained_variance", "pearson", "spearman", "huber_loss"]),
        ("multiclass", ["hinge_loss", "calibration_error", "cross_entropy_loss", "mae"]),
    ],
)
def test_sums_are_those_of_all_rows_in_float64(task, names):
    loss, y_pred, y_true = TASKS[task]
    y_pred, y_true = y_pred.double(), y_true.double() if y_true.is_floating_point() else y_true
    whole = fill(tracker(names, loss), y_pred, y_true).read()
    for cut in SPLITS.values():
        found = merged(in_parts(lambda: tracker(names, loss, True), cut, y_pred, y_true)).read()
        assert found == pytest.approx(whole, rel=1e-12)


def test_merged_metrics_are_those_of_scikit_learn():
    loss, y_pred, y_true = TASKS["multiclass"]
    names = ["accuracy", "f1", "cohen_kappa", "matthews_corrcoef", "crossentropy"]
    found = merged(in_parts(lambda: tracker(names, loss, True), SPLITS["three"], y_pred, y_true)).read()
    answer, y = y_pred.argmax(1).numpy(), y_true.numpy()
    assert found == {
        "accuracy": pytest.approx(sk.accuracy_score(y, answer)),
        "f1": pytest.approx(sk.f1_score(y, answer, average="macro")),
        "cohen_kappa": pytest.approx(sk.cohen_kappa_score(y, answer), abs=1e-6),
        "matthews_corrcoef": pytest.approx(sk.matthews_corrcoef(y, answer), abs=1e-6),
        "crossentropy": pytest.approx(sk.log_loss(y, y_pred.double().softmax(1).numpy()), rel=1e-6),
    }
    loss, y_pred, y_true = TASKS["regression"]
    found = merged(in_parts(lambda: tracker(["r2", "mae"], loss, True), SPLITS["three"], y_pred, y_true)).read()
    assert found["r2"] == pytest.approx(sk.r2_score(y_true.double(), y_pred.double()), rel=1e-12)
    assert found["mae"] == pytest.approx(sk.mean_absolute_error(y_true.double(), y_pred.double()), rel=1e-6)
    loss, y_pred, y_true = TASKS["binary"]
    weighted = in_parts(lambda: tracker(["auc"], loss, True, True), SPLITS["three"], y_pred, y_true, WEIGHT)
    expected = sk.roc_auc_score(y_true.ravel(), y_pred.ravel(), sample_weight=WEIGHT)
    assert merged(weighted).read()["auc"] == pytest.approx(expected, rel=1e-6)


BUILT_IN = [
    (kt.metrics.AUC, {}, "binary"), (kt.metrics.AUC, {"multi_label": True}, "one-hot"),
    (kt.metrics.Precision, {}, "binary"), (kt.metrics.Recall, {"thresholds": [0.2, 0.6]}, "binary"),
    (kt.metrics.SensitivityAtSpecificity, {"specificity": 0.4}, "binary"),
    (kt.metrics.SpecificityAtSensitivity, {"sensitivity": 0.4}, "binary"),
    (kt.metrics.PrecisionAtRecall, {"recall": 0.4}, "binary"),
    (kt.metrics.RecallAtPrecision, {"precision": 0.4}, "binary"),
    (kt.metrics.TruePositives, {}, "binary"), (kt.metrics.FalseNegatives, {}, "binary"),
    (kt.metrics.F1Score, {}, "one-hot"), (kt.metrics.FBetaScore, {"average": "weighted", "beta": 2.0}, "one-hot"),
    (kt.metrics.OneHotMeanIoU, {"num_classes": 7}, "one-hot"), (kt.metrics.BinaryIoU, {}, "binary"),
    (kt.metrics.OneHotIoU, {"num_classes": 7, "target_class_ids": [1, 4]}, "one-hot"),
    (kt.metrics.MeanIoU, {"num_classes": 7, "sparse_y_pred": False}, "multiclass"),
    (kt.metrics.R2Score, {}, "regression"), (kt.metrics.R2Score, {"num_regressors": 2}, "regression"),
    (kt.metrics.RootMeanSquaredError, {}, "regression"), (kt.metrics.MeanSquaredError, {}, "regression"),
    (kt.metrics.CosineSimilarity, {}, "regression"), (kt.metrics.ConcordanceCorrelation, {}, "one-hot"),
    (kt.metrics.PearsonCorrelation, {}, "one-hot"), (kt.metrics.BinaryAccuracy, {}, "binary"),
    (kt.metrics.CategoricalAccuracy, {}, "one-hot"), (kt.metrics.SparseCategoricalAccuracy, {}, "multiclass"),
    (kt.metrics.TopKCategoricalAccuracy, {"k": 2}, "one-hot"), (kt.metrics.BinaryCrossentropy, {}, "binary"),
    (kt.metrics.SparseTopKCategoricalAccuracy, {"k": 2}, "multiclass"),
    (kt.metrics.CategoricalCrossentropy, {}, "one-hot"), (kt.metrics.KLDivergence, {}, "one-hot"),
    (kt.metrics.SparseCategoricalCrossentropy, {"from_logits": True}, "multiclass"),
    (kt.metrics.Poisson, {}, "regression"), (kt.metrics.Hinge, {}, "binary"),
    (kt.metrics.CategoricalHinge, {}, "one-hot"), (kt.metrics.LogCoshError, {}, "regression"),
]  # fmt: skip


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("kind", "options", "task"), BUILT_IN, ids=lambda one: getattr(one, "__name__", str(one)))
def test_objects_of_the_classes_are_merged_and_stay_as_they_are(kind, options, task, weighted):
    loss, y_pred, y_true = TASKS[task]
    weight = WEIGHT if weighted else None
    whole = fill(tracker([kind(**options)], loss, weighted=weighted), y_pred, y_true, weight).read()
    for split in ("first empty", "three"):
        objects = [kind(**options) for _ in SPLITS[split][1:]]
        left = iter(objects)
        parts = in_parts(
            lambda left=left: tracker([next(left)], loss, True, weighted), SPLITS[split], y_pred, y_true, weight
        )
        before = [part.read() for part in parts]
        found = merged(parts)
        check("", weighted, whole, found.read())
        assert str([part.read() for part in parts]) == str(before)  # NaN is equal to NaN there
        found.give_to(parts[0])
        assert objects[0].result().flatten().tolist() == pytest.approx([*whole.values()], nan_ok=True)


def test_functions_get_all_rows_in_order():
    seen = []

    def largest(y_true, y_pred):
        seen.append(y_pred.clone())
        return (y_true - y_pred).abs().max()

    loss, y_pred, y_true = TASKS["regression"]
    parts = in_parts(lambda: tracker([largest], loss, True), SPLITS["three"], y_pred, y_true)
    assert merged(parts).read() == {"largest": pytest.approx((y_true - y_pred).abs().max().item())}
    assert torch.equal(seen[-1], y_pred)


# --- the task, which parts may see differently ----------------------------------------------------------------


def test_targets_that_are_one_hot_in_one_part_only_are_those_of_all_rows():
    y_pred, y_true = torch.rand(40, 3), torch.zeros(40, 3)
    y_true[:, 0] = 1.0  # one-hot
    y_true[30:, 1] = 1.0  # two labels
    whole = fill(tracker(["accuracy"], None), y_pred, y_true).read
    unknown = {"metrics": [kt.metrics.BinaryAccuracy()], "loss": None}
    expected = fill(tracker(**unknown), y_pred, y_true).read()
    assert merged(in_parts(lambda: tracker(**unknown, is_part=True), (0, 30, 40), y_pred, y_true)).read() == expected
    with pytest.raises(ValueError, match="probabilities or logits"):  # as of yes-or-no questions of an unknown loss
        whole()
    loss = "mse"
    expected = ((y_pred > 0.5) == (y_true > 0.5)).float().mean().item()
    for cut in ((0, 30, 40), (0, 10, 40), (0, 35, 40)):
        parts = in_parts(lambda: tracker(["accuracy"], loss, is_part=True), cut, y_pred, y_true)
        assert [merged(parts, at).read()["accuracy"] for at in (0, 1)] == [pytest.approx(expected)] * 2


def test_a_part_with_labels_of_one_only_is_compared_as_the_others():
    y_pred = torch.randn(40, 1)
    y_true = torch.cat((torch.ones(15, 1), -torch.ones(10, 1), torch.ones(15, 1)))
    expected = ((y_pred > 0) == (y_true > 0)).float().mean().item()
    for cut in ((0, 15, 40), (0, 20, 30, 40)):
        parts = in_parts(lambda: tracker(["accuracy"], "mse", is_part=True), cut, y_pred, y_true)
        assert merged(parts).read()["accuracy"] == pytest.approx(expected)
    read = in_parts(lambda: tracker(["accuracy"], "mse", is_part=True), (0, 15, 40), y_pred, y_true)
    read[0].read()  # a callback: the rows of the first part are compared with 0.5 by now
    with pytest.raises(ValueError, match="now there is a label -1"):
        merged(read)
    read[1].read()
    with pytest.raises(ValueError, match="look like different tasks"):
        merged(read)


@pytest.mark.parametrize("loss", ["hinge", "binary_crossentropy"])
def test_labels_of_minus_one_in_one_part_only(loss):
    y_pred = torch.rand(30, 1)
    y_true = torch.cat((torch.ones(10, 1), -torch.ones(20, 1)))
    whole = fill(tracker(["accuracy"], loss), y_pred, y_true).read()
    parts = in_parts(lambda: tracker(["accuracy"], loss, is_part=True), (0, 10, 30), y_pred, y_true)
    for part in parts:
        part.read()
    assert merged(parts).read() == whole


def test_rows_that_decide_nothing_are_not_sent():
    loss, y_pred, y_true = TASKS["multiclass"]
    part = fill(tracker(["accuracy", "f1"], loss, is_part=True), y_pred, y_true)
    assert part.part_state()["scores"][""]["pending"] == []


# --- trackers ------------------------------------------------------------------------------------------------


def test_means_are_weighted_by_what_each_part_has_counted():
    values, counts = np.random.default_rng(0).random(50), np.random.default_rng(1).integers(0, 9, 50)
    parts = [MetricsTracker({}) for _ in range(3)]
    for index, (value, count) in enumerate(zip(values, counts, strict=True)):
        parts[index % 2].add({"loss": torch.tensor(value, dtype=torch.float64)}, int(count))  # none for the last part
    parts[1].add({"only": 3.0}, 2)
    found = merged(parts, 2)
    assert found.read() == {"loss": pytest.approx(np.average(values, weights=counts), rel=1e-12), "only": 3.0}
    assert found.mean("loss") == found.read()["loss"]
    assert merged([MetricsTracker({})] * 2).read() == {}


def test_means_of_integers_are_exact():
    parts = [Mean() for _ in range(3)]
    for index in range(600):
        parts[index % 3].add(torch.tensor(float(index)), 4)
    assert Mean.of_parts([part.totals() for part in parts]).read() == sum(range(600)) / 600


def test_several_outputs_are_merged_each_by_its_loss():
    y = {"class": TASKS["multiclass"], "value": TASKS["regression"]}
    names = {"class": ["accuracy", "auc"], "value": ["mae", "r2"]}

    def make(is_part=False):
        scores = {}
        for output, (loss, _, _) in y.items():
            found = kt.losses.get(loss)
            spec = [kt.metrics.get(name) for name in names[output]]
            scores[output] = Scores(spec, lambda found=found: found, is_part=is_part)
        return MetricsTracker(scores)

    def add(one, start, end):
        pairs = {output: (y_pred[start:end], y_true[start:end]) for output, (_, y_pred, y_true) in y.items()}
        one.update({name: pair[0] for name, pair in pairs.items()}, {name: pair[1] for name, pair in pairs.items()})
        return one

    whole = add(make(), 0, N).read()
    found = merged([add(make(True), 0, 30), make(True), add(make(True), 30, N)]).read()
    assert found.keys() == {"class_accuracy", "class_auc", "value_mae", "value_r2"}
    assert found == pytest.approx(whole, rel=OF_ROWS)
    assert found["class_accuracy"] == whole["class_accuracy"]


def test_rows_that_the_metrics_were_not_updated_with_yet_are_merged_and_left_as_they_are():
    loss, y_pred, y_true = TASKS["multiclass"]
    parts = in_parts(lambda: tracker(["accuracy"], loss, True), (0, 30, N), y_pred, y_true)
    first = [sent(part.part_state()) for part in parts]
    assert parts[0].merged(first, CPU).read() == fill(tracker(["accuracy"], loss), y_pred, y_true).read()
    for part in parts:
        fill(part, y_pred, y_true)  # goes on after a merge
    twice = torch.cat((y_pred, y_pred, y_pred)), torch.cat((y_true, y_true, y_true))
    assert merged(parts).read() == fill(tracker(["accuracy"], loss), *twice).read()


def test_more_rows_than_a_metric_is_updated_with_at_once():
    y_pred, y_true = torch.rand(10_000, 4), torch.randint(0, 4, (10_000,))
    names = ["accuracy", "auc", "f1"]
    whole = fill(tracker(names, "cross_entropy"), y_pred, y_true, step=500).read()
    parts = [
        fill(tracker(names, "cross_entropy", True), y_pred[a:b], y_true[a:b], step=500)
        for a, b in ((0, 4500), (4500, 4600), (4600, 10_000))
    ]
    assert merged(parts).read() == whole


def test_a_loss_that_mixes_rows_is_that_of_all_rows():
    loss, y_pred, y_true = TASKS["binary"]
    parts = in_parts(lambda: tracker(["dice"], loss, True), SPLITS["three"], y_pred, y_true)
    y, p = y_true.double().numpy(), y_pred.double().numpy()
    assert merged(parts).read()["dice"] == pytest.approx(1 - 2 * (y * p).sum() / (y.sum() + p.sum()), rel=1e-6)


def test_a_state_of_a_checkpoint_is_merged(tmp_path):
    loss, y_pred, y_true = TASKS["one-hot"]
    names = ["accuracy", "dice", kt.metrics.F1Score()]
    whole = fill(tracker(names, loss), y_pred, y_true).read()
    parts = []
    for start, end in ((0, 40), (40, N)):
        part = tracker([*names[:2], kt.metrics.F1Score()], loss, True)
        fill(part, y_pred[start : start + 8], y_true[start : start + 8])
        part.read()
        resumed = tracker([*names[:2], kt.metrics.F1Score()], loss, True)
        resumed.load_state_dict(part.state_dict(), CPU)
        parts.append(fill(resumed, y_pred[start + 8 : end], y_true[start + 8 : end]))
    assert merged(parts).read() == pytest.approx(whole, rel=OF_ROWS)
