"""Metric objects of users and of torchmetrics that have each seen a part of the rows, merged."""

import collections

import numpy as np
import pytest
import torch
import torchmetrics
from support.parts import CPU, SPLITS, fill, in_parts, merged, sent, tracker
from torchmetrics import classification, regression, wrappers

import kerastorch as kt
from kerastorch.data.batches import Batch
from kerastorch.training.own_steps import step_of

N = 90
torch.manual_seed(5)
P, Y = torch.rand(N, 1), (torch.arange(N) >= 50).float().reshape(N, 1)
LOGITS, CLASSES = torch.randn(N, 5), torch.arange(N) % 5


class Largest(kt.metrics.Metric):
    """The largest error; nothing says how it is merged."""

    def __init__(self, name="largest", **kwargs):
        super().__init__(name=name, **kwargs)
        self.largest = self.add_variable((), name="largest")

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.largest.assign(torch.maximum(self.largest, (y_pred - y_true).abs().max()))

    def result(self):
        return self.largest


class MergedLargest(Largest):
    """The same, with the way to merge it."""

    def merge_state(self, metrics):
        for one in metrics:
            self.largest.assign(torch.maximum(self.largest, one.largest))


class Aggregated(kt.metrics.Metric):
    """The number of errors above 0.5, with an aggregation."""

    def __init__(self, aggregation, name="errors"):
        super().__init__(name=name)
        self.errors = self.add_variable((), aggregation=aggregation)

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.errors.assign_add(((y_pred - y_true).abs() > 0.5).sum())

    def result(self):
        return self.errors


class Late(Aggregated):
    """A metric whose variable is made at the first batch."""

    def __init__(self):
        kt.metrics.Metric.__init__(self, name="late")
        self.errors = None

    def update_state(self, y_true, y_pred, sample_weight=None):
        if self.errors is None:
            self.errors = self.add_variable((), aggregation="sum")
        super().update_state(y_true, y_pred)

    def reset_state(self):
        if self.errors is not None:
            super().reset_state()

    def result(self):
        return 0.0 if self.errors is None else self.errors


class Counting(kt.metrics.Metric):
    """Counts of rounded outputs in an attribute that is no variable, with its own `merge_state`."""

    def __init__(self):
        super().__init__(name="counting")
        self.counts = collections.Counter()

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.counts.update(y_pred.mul(10).round().flatten().tolist())

    def merge_state(self, metrics):
        for one in metrics:
            self.counts.update(one.counts)

    def reset_state(self):
        self.counts.clear()

    def result(self):
        return torch.tensor(float(max(self.counts.values(), default=0)))


class Foreign:
    """A metric of another library: `update`, `compute`, `reset`."""

    def __init__(self):
        self.reset()

    def reset(self):
        self.values = np.zeros(0)

    def update(self, y_pred, y_true):
        self.values = np.append(self.values, (y_pred - y_true).abs().numpy())

    def compute(self):
        return float(np.median(self.values))


class MergedForeign(Foreign):
    """The same, with `merge_state`."""

    def merge_state(self, metrics):
        self.values = np.concatenate([self.values, *[one.values for one in metrics]])


class ForeignKeras:
    """An object with Keras' methods that is of no class of this library."""

    name = "median"

    def __init__(self):
        self.reset_state()

    def reset_state(self):
        self.values = []

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.values += (y_pred - y_true).abs().flatten().tolist()

    def result(self):
        return float(np.median(self.values))


class Window(torchmetrics.Metric):
    """A metric of torchmetrics that has no states of its own."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def update(self, preds, target):
        self.seen.append(float((preds - target).abs().max()))

    def compute(self):
        return torch.tensor(max(self.seen))

    def reset(self):
        super().reset()
        self.seen = []


def test_merge_state_adds_up_what_add_variable_says():
    for aggregation, expected in (("sum", 6), ("mean", 2), ("only_first_replica", 1)):
        metrics = [Aggregated(aggregation) for _ in range(3)]
        for index, one in enumerate(metrics):
            one.errors.assign(float(index + 1))
        metrics[0].merge_state(metrics[1:])
        assert metrics[0].result() == expected
        assert [float(one.result()) for one in metrics[1:]] == [2, 3]
    with pytest.raises(ValueError, match="aggregation must be one of 'sum', 'mean', 'only_first_replica' or None, got"):
        Aggregated("max")
    with pytest.raises(ValueError, match=r"nothing says how the variable 'largest' .* define merge_state\(metrics\)"):
        Largest().merge_state([Largest()])
    assert Aggregated("none").errors.aggregation is None


def test_merge_state_of_a_metric_without_a_batch_takes_the_state_of_the_others():
    y = torch.eye(3)
    seen = kt.metrics.F1Score()
    seen.update_state(y, y)
    fresh = kt.metrics.F1Score(name="mine")
    fresh.merge_state([kt.metrics.F1Score(), seen, seen])
    assert fresh.result().tolist() == pytest.approx([1.0, 1.0, 1.0])
    assert fresh.name == "mine"
    assert fresh.true_positives.tolist() == [2, 2, 2]
    assert seen.true_positives.tolist() == [1, 1, 1]


def test_an_attribute_that_differs_and_is_no_variable_is_an_error():
    class Counted(Aggregated):
        n_batches = 0

        def update_state(self, y_true, y_pred, sample_weight=None):
            self.n_batches = self.n_batches + 1
            super().update_state(y_true, y_pred)

    parts = in_parts(lambda: tracker([Counted("sum")], "mse", True), (0, 8, N), P, Y)
    with pytest.raises(ValueError, match="the attribute 'n_batches' differs"):
        merged(parts)


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize(
    "make",
    [
        Largest, MergedLargest, lambda: Aggregated("sum"), Late, Counting, Foreign, MergedForeign, ForeignKeras, Window,
        lambda: kt.metrics.MeanMetricWrapper(lambda y_true, y_pred: (y_true - y_pred).abs(), name="error"),
    ],
)  # fmt: skip
def test_objects_of_users_are_merged_or_get_the_rows_of_all_parts(make, split):
    whole = fill(tracker([make()], "mse"), P, Y).read()
    parts = in_parts(lambda: tracker([make()], "mse", True), SPLITS[split], P, Y)
    before = [part.read() for part in parts]
    for at in range(len(parts)):
        assert merged(parts, at).read() == pytest.approx(whole, rel=1e-6)
    assert [part.read() for part in parts] == before


def test_rows_are_stored_only_if_they_are_needed():
    def rows(make, is_part):
        one = fill(tracker([make()], "mse", is_part), P, Y)
        one.read()
        return one.part_state()["scores"][""]["rows"]

    assert [len(rows(make, True)) for make in (Largest, MergedLargest, Late, Foreign, MergedForeign)] == [1, 0, 0, 1, 0]
    assert rows(Largest, False) == rows(Foreign, False) == {}
    parts = in_parts(lambda: tracker([Largest()], "mse"), SPLITS["three"], P, Y)
    with pytest.raises(ValueError, match=r"metric 'largest': each process .* give each add_variable\(...\) an aggreg"):
        merged(parts)
    parts = in_parts(lambda: tracker([Foreign()], "mse"), SPLITS["three"], P, Y)
    with pytest.raises(ValueError, match=r"In its class, define merge_state\(metrics\)"):
        merged(parts)


def test_an_attribute_that_cannot_be_sent_is_an_error_with_its_name():
    class Reading(Counting):
        def update_state(self, y_true, y_pred, sample_weight=None):
            super().update_state(y_true, y_pred)
            self.stream = iter(range(3)), (one for one in ())

    part = fill(tracker([Reading()], "mse", True), P, Y)
    with pytest.raises(TypeError, match="Reading: the attribute 'stream', of type tuple, cannot be sent"):
        part.part_state()


# --- torchmetrics ---------------------------------------------------------------------------------------------

TORCHMETRICS = [
    lambda: classification.MulticlassAccuracy(5, average=None),
    lambda: classification.MulticlassAUROC(5, thresholds=20),
    lambda: classification.MulticlassConfusionMatrix(5),
    lambda: classification.MulticlassCalibrationError(5),
    lambda: wrappers.ClasswiseWrapper(classification.MulticlassRecall(5, average=None)),
    lambda: wrappers.MinMaxMetric(classification.MulticlassAccuracy(5)),
    lambda: wrappers.Running(classification.MulticlassAccuracy(5), window=2),
    lambda: classification.MulticlassAccuracy(5) + classification.MulticlassRecall(5),
    lambda: torchmetrics.MetricCollection(
        [classification.MulticlassPrecision(5), classification.MulticlassRecall(5), classification.MulticlassAUROC(5)]
    ),
]


@pytest.mark.parametrize("number", range(len(TORCHMETRICS)))
def test_classification_objects_of_torchmetrics(number):
    make = TORCHMETRICS[number]
    whole = fill(tracker([make()], "cross_entropy"), LOGITS, CLASSES).read()
    for cut in SPLITS.values():
        parts = in_parts(lambda: tracker([make()], "cross_entropy", True), cut, LOGITS, CLASSES)
        assert merged(parts).read() == pytest.approx(whole, rel=1e-6)


@pytest.mark.filterwarnings("ignore:Metric `SpearmanCorrcoef` will save")
@pytest.mark.parametrize(
    "make",
    [
        lambda: regression.PearsonCorrCoef(2), lambda: regression.SpearmanCorrCoef(2),
        lambda: regression.ConcordanceCorrCoef(2), lambda: regression.R2Score(), lambda: regression.ExplainedVariance(),
        lambda: regression.MeanSquaredError(num_outputs=2), lambda: regression.KendallRankCorrCoef(num_outputs=2),
        lambda: wrappers.MultioutputWrapper(regression.PearsonCorrCoef(), 2),
        lambda: regression.NormalizedRootMeanSquaredError("range", num_outputs=2),
    ],
)  # fmt: skip
def test_regression_objects_of_torchmetrics(make):
    y_pred, y_true = torch.rand(N, 2), torch.rand(N, 2)
    whole = fill(tracker([make()], "mse"), y_pred, y_true).read()
    for cut in SPLITS.values():
        parts = in_parts(lambda: tracker([make()], "mse", True), cut, y_pred, y_true)
        assert merged(parts).read() == pytest.approx(whole, rel=1e-5)


@pytest.mark.parametrize("reduction", ["sum", "mean", "min", "max", "cat", None, lambda stacked: stacked.amax(0)])
def test_states_are_reduced_as_add_state_says(reduction):
    class Kept(torchmetrics.Metric):
        def __init__(self):
            super().__init__()
            self.add_state("kept", [] if reduction == "cat" else torch.tensor(2.0), dist_reduce_fx=reduction)

        def update(self, preds, target):
            if reduction == "cat":
                self.kept.append(preds)
            else:
                self.kept = preds.max()

        def compute(self):
            return torch.cat(self.kept).sum() if reduction == "cat" else self.kept.float().sum()

    parts = in_parts(lambda: tracker([Kept()], "mse", True), SPLITS["three"], P, Y)
    largest = torch.stack([P[:20].max(), P[20:61].max(), P[61:].max()])
    expected = {
        "sum": largest.sum(), "mean": largest.mean(), "min": largest.min(), "cat": P.sum(), None: P.max(),
    }.get(reduction, largest.max())  # fmt: skip
    assert merged(parts).read()["kept"] == pytest.approx(float(expected), rel=1e-6)


def test_bootstrapped_metrics_are_the_same_in_all_processes_and_draw_no_numbers():
    make = lambda: wrappers.BootStrapper(classification.MulticlassAccuracy(5), num_bootstraps=4)  # noqa: E731
    parts = in_parts(lambda: tracker([make()], "cross_entropy", True), SPLITS["three"], LOGITS, CLASSES)
    for part in parts:
        part.read()
    before = torch.get_rng_state()
    found = [merged(parts, at).read() for at in range(3)]
    assert found[0] == found[1] == found[2]
    assert torch.equal(torch.get_rng_state(), before)


# --- objects that the model holds ------------------------------------------------------------------------------


def own_model(metric, log=None):
    class Own(kt.Sequential):
        def __init__(self):
            super().__init__([torch.nn.Identity()])
            self.own = metric

        def test_step(self, batch):
            x, y, _ = batch
            y_pred = self(x)
            self.compute_metrics(x, y, y_pred)
            self.own.update_state(y, y_pred)
            return {"loss": (y_pred - y).square().mean(), log or self.own.name: self.own.result()}

    model = Own()
    model.compile(loss="mse", metrics=["mae"])
    return model


def passes(models, cut):
    """Return the trackers of an evaluation of a part of the rows by each model."""
    found = []
    for model, start, end in zip(models, cut, cut[1:], strict=False):
        trainer = model._trainer
        part = trainer.new_metrics(is_part=True)
        with trainer.using(part):
            step = step_of(trainer, "test_step")
            for first in range(start, end, 8):
                rows = slice(first, min(first + 8, end))
                output = step(Batch(P[rows], Y[rows], None))
                part.add(output.logs, len(P[rows]), output.weights)
        found.append(part)
    return found


@pytest.mark.parametrize("log", [None, "other"])
@pytest.mark.parametrize("make", [MergedLargest, lambda: Aggregated("sum"), kt.metrics.MeanSquaredError, Late])
def test_results_of_objects_that_the_model_holds_are_merged(make, log):
    whole = passes([own_model(make(), log)], (0, N))[0].read()
    for cut in SPLITS.values():
        models = [own_model(make(), log) for _ in cut[1:]]
        parts = passes(models, cut)
        before = [part.read() for part in parts]
        found = [merged(parts, at) for at in range(len(parts))]
        assert all(one.read() == pytest.approx(whole, rel=1e-6) for one in found)
        assert [part.read() for part in parts] == before
        found[-1].give_to(parts[-1])
        assert float(models[-1].own.result()) == pytest.approx(whole[log or models[-1].own.name], rel=1e-6)


@pytest.mark.parametrize(
    ("make", "advice"), [(Largest, r"give each add_variable\(...\)"), (ForeignKeras, "define merge")]
)
def test_objects_that_the_model_holds_and_that_cannot_be_merged_are_an_error(make, advice):
    parts = passes([own_model(make()) for _ in range(2)], SPLITS["even"])
    with pytest.raises(ValueError, match=advice):
        merged(parts)
    parts = passes([own_model(make()) for _ in range(2)], SPLITS["first empty"])
    assert merged(parts).read() == pytest.approx(passes([own_model(make())], (0, N))[0].read(), rel=1e-6)


def test_the_result_of_a_metric_of_compile_under_another_name():
    class Renaming(kt.Sequential):
        def test_step(self, batch):
            x, y, _ = batch
            y_pred = self(x)
            loss = self.compute_loss(x, y, y_pred)
            return {"loss": loss, "other": self.compute_metrics(x, y, y_pred)["mae"]}

    model = Renaming([torch.nn.Identity()])
    model.compile(loss="mse", metrics=["mae"])
    logs = model.evaluate(P, Y, verbose=0, return_dict=True)
    expected = (P - Y).abs().mean().item()
    assert (logs["mae"], logs["other"]) == pytest.approx((expected, expected), rel=1e-6)
    models = [Renaming([torch.nn.Identity()]) for _ in range(2)]
    for one in models:
        one.compile(loss="mse", metrics=["mae"])
    found = merged(passes(models, SPLITS["uneven"])).read()
    assert (found["mae"], found["other"]) == pytest.approx((expected, expected), rel=1e-6)


def test_a_number_of_a_checkpoint_is_that_of_the_metric_of_its_name():
    models = [own_model(MergedLargest()) for _ in range(2)]
    parts = passes(models, SPLITS["even"])
    resumed = []
    for model, part in zip(models, parts, strict=True):
        other = model._trainer.new_metrics(is_part=True)
        other.load_state_dict(sent(part.state_dict()), CPU)
        resumed.append(other)
    assert merged(resumed).read() == merged(parts).read()
