"""The numbers of a report are those of scikit-learn on the same predictions."""

import numpy as np
import pytest
from sklearn import metrics as sk

import kerastorch as kt
from kerastorch.evaluation import report_from_predictions


def binary(n=200, seed=0):
    generator = np.random.default_rng(seed)
    y = generator.integers(0, 2, n)
    p = np.clip(0.35 * y + 0.6 * generator.random(n), 0, 1).round(2)  # with ties
    return y, p


def multiclass(n=240, classes=4, seed=0):
    generator = np.random.default_rng(seed)
    y = generator.integers(0, classes, n)
    scores = generator.normal(size=(n, classes)) + 1.5 * np.eye(classes)[y]
    p = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    return y, p


def by_definition(confidence, is_right, n_bins):
    """Return the expected calibration error as Guo et al. 2017 write it."""
    total = 0.0
    for m in range(1, n_bins + 1):
        inside = (confidence > (m - 1) / n_bins) & (confidence <= m / n_bins)
        if inside.any():
            total += inside.sum() / len(confidence) * abs(is_right[inside].mean() - confidence[inside].mean())
    return total


@pytest.mark.parametrize("weighted", [False, True])
def test_metrics_of_two_classes_are_those_of_scikit_learn(weighted):
    y, p = binary()
    weight = np.random.default_rng(1).random(len(y)) if weighted else None
    found = report_from_predictions(y, p, weight, n_bootstrap=0).metrics
    predicted = p > 0.5
    expected = {
        "accuracy": sk.accuracy_score(y, predicted, sample_weight=weight),
        "balanced_accuracy": sk.balanced_accuracy_score(y, predicted, sample_weight=weight),
        "precision": sk.precision_score(y, predicted, sample_weight=weight),
        "recall": sk.recall_score(y, predicted, sample_weight=weight),
        "f1": sk.f1_score(y, predicted, sample_weight=weight),
        "mcc": sk.matthews_corrcoef(y, predicted, sample_weight=weight),
        "roc_auc": sk.roc_auc_score(y, p, sample_weight=weight),
        "average_precision": sk.average_precision_score(y, p, sample_weight=weight),
        "log_loss": sk.log_loss(y, p, sample_weight=weight),
        "brier": sk.brier_score_loss(y, p, sample_weight=weight),
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("weighted", [False, True])
def test_metrics_of_several_classes_are_those_of_scikit_learn(weighted):
    y, p = multiclass()
    weight = np.random.default_rng(1).random(len(y)) if weighted else None
    report = report_from_predictions(y, p, weight, n_bootstrap=0)
    predicted = p.argmax(1)
    average = {"average": "macro", "sample_weight": weight}
    expected = {
        "accuracy": sk.accuracy_score(y, predicted, sample_weight=weight),
        "balanced_accuracy": sk.balanced_accuracy_score(y, predicted, sample_weight=weight),
        "precision_macro": sk.precision_score(y, predicted, **average),
        "recall_macro": sk.recall_score(y, predicted, **average),
        "f1_macro": sk.f1_score(y, predicted, **average),
        "mcc": sk.matthews_corrcoef(y, predicted, sample_weight=weight),
        "roc_auc": sk.roc_auc_score(y, p, multi_class="ovr", sample_weight=weight),
        "average_precision": sk.average_precision_score(np.eye(4)[y], p, **average),
        "log_loss": sk.log_loss(y, p, sample_weight=weight),
        "brier": np.average(((p - np.eye(4)[y]) ** 2).sum(1), weights=weight),
    }
    assert {name: report.metrics[name] for name in expected} == pytest.approx(expected, rel=1e-9)
    assert report.confusion == pytest.approx(sk.confusion_matrix(y, predicted, sample_weight=weight))
    table = sk.classification_report(y, predicted, output_dict=True, sample_weight=weight)
    for name, row in report.per_class.items():
        expected = table[name]
        found = [row["precision"], row["recall"], row["f1"], row["support"]]
        assert found == pytest.approx([expected[key] for key in ("precision", "recall", "f1-score", "support")])
        one = int(name)
        assert row["roc_auc"] == pytest.approx(sk.roc_auc_score(y == one, p[:, one], sample_weight=weight))


def test_metrics_of_labels_are_those_of_scikit_learn():
    generator = np.random.default_rng(0)
    y = generator.integers(0, 2, (150, 3))
    p = np.clip(0.4 * y + 0.6 * generator.random((150, 3)), 0, 1)
    report = report_from_predictions(y, p, n_bootstrap=0)
    predicted = p > 0.5
    expected = {
        "subset_accuracy": sk.accuracy_score(y, predicted),
        "hamming_loss": sk.hamming_loss(y, predicted),
        "precision_macro": sk.precision_score(y, predicted, average="macro"),
        "recall_macro": sk.recall_score(y, predicted, average="macro"),
        "f1_macro": sk.f1_score(y, predicted, average="macro"),
        "f1_micro": sk.f1_score(y, predicted, average="micro"),
        "roc_auc": sk.roc_auc_score(y, p),
        "average_precision": sk.average_precision_score(y, p),
        "log_loss": np.mean([sk.log_loss(y[:, one], p[:, one]) for one in range(3)]),
        "brier": np.mean((p - y) ** 2),
        "ece": by_definition(np.maximum(p, 1 - p).ravel(), (predicted == y).ravel(), 15),
    }
    assert report.task == "multilabel"
    assert report.metrics == pytest.approx(expected, rel=1e-10)
    assert report.per_class["1"]["f1"] == pytest.approx(sk.f1_score(y[:, 1], predicted[:, 1]))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("columns", [1, 3])
def test_metrics_of_values_are_those_of_scikit_learn(columns, weighted):
    generator = np.random.default_rng(0)
    y = generator.normal(3, 2, (101, columns))
    p = y + generator.normal(0.2, 0.7, y.shape)
    weight = generator.integers(1, 4, 101).astype(float) if weighted else None
    found = report_from_predictions(y, p, weight, n_bootstrap=0).metrics
    expected = {
        "rmse": sk.root_mean_squared_error(y, p, sample_weight=weight),
        "mae": sk.mean_absolute_error(y, p, sample_weight=weight),
        "max_error": np.abs(y - p).max(),
        "bias": np.average((p - y).mean(1), weights=weight),
        "r2": sk.r2_score(y, p, sample_weight=weight),
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-9)
    repeats = np.ones(101, int) if weight is None else weight.astype(int)
    repeated = [np.repeat(one, repeats, axis=0) for one in (y, p)]
    assert found["median_ae"] == pytest.approx(sk.median_absolute_error(*repeated))


@pytest.mark.parametrize("n_bins", [10, 15])
def test_the_expected_calibration_error_is_that_of_its_definition(n_bins):
    y, p = multiclass()
    report = report_from_predictions(y, p, n_bootstrap=0, n_bins=n_bins)
    expected = by_definition(p.max(1), p.argmax(1) == y, n_bins)
    assert report.metrics["ece"] == pytest.approx(expected, rel=1e-12)
    assert report.calibration.ece == report.metrics["ece"]
    y, p = binary()
    found = report_from_predictions(y, p, n_bootstrap=0, n_bins=n_bins).metrics["ece"]
    assert found == pytest.approx(by_definition(np.maximum(p, 1 - p), (p > 0.5) == y, n_bins), rel=1e-12)


def test_bins_of_the_calibration_hold_each_prediction_once():
    y, p = multiclass()
    bins = report_from_predictions(y, p, n_bootstrap=0).calibration
    assert bins.counts.sum() == len(y)
    assert np.nansum(bins.counts * bins.accuracy) == pytest.approx((p.argmax(1) == y).sum())
    assert np.nansum(bins.counts * bins.confidence) == pytest.approx(p.max(1).sum())
    assert bins.mce == pytest.approx(np.nanmax(np.abs(bins.accuracy - bins.confidence)))


def test_bootstrap_intervals_are_percentiles_of_metrics_of_resampled_rows():
    y, p = binary(60)
    report = report_from_predictions(y, p, n_bootstrap=200, confidence=0.9, seed=3)
    generator = np.random.default_rng(3)
    values = []
    for _ in range(200):
        rows = generator.integers(0, 60, 60)
        values.append([sk.accuracy_score(y[rows], p[rows] > 0.5), sk.roc_auc_score(y[rows], p[rows])])
    low, high = np.quantile(values, [0.05, 0.95], axis=0)
    assert report.intervals["accuracy"] == pytest.approx((low[0], high[0]))
    assert report.intervals["roc_auc"] == pytest.approx((low[1], high[1]))
    assert report.n_bootstrap == 200


def test_bootstrap_intervals_of_values_are_percentiles_too():
    generator = np.random.default_rng(0)
    y = generator.normal(size=50)
    p = y + generator.normal(size=50)
    report = report_from_predictions(y, p, n_bootstrap=100, seed=1)
    generator = np.random.default_rng(1)
    values = []
    for _ in range(100):
        rows = generator.integers(0, 50, 50)
        values.append([sk.r2_score(y[rows], p[rows]), sk.median_absolute_error(y[rows], p[rows])])
    low, high = np.quantile(values, [0.025, 0.975], axis=0)
    assert report.intervals["r2"] == pytest.approx((low[0], high[0]))
    assert report.intervals["median_ae"] == pytest.approx((low[1], high[1]))


def test_the_same_seed_gives_the_same_intervals_and_another_seed_others():
    y, p = binary()
    first, same, other = (report_from_predictions(y, p, n_bootstrap=50, seed=one).intervals for one in (0, 0, 1))
    assert first == same != other


def test_bootstrap_intervals_contain_the_true_accuracy_as_often_as_they_say():
    generator = np.random.default_rng(0)
    covered = 0
    for _ in range(200):
        y = np.arange(100) % 2
        predicted = np.where(generator.random(100) < 0.8, y, 1 - y)
        low, high = report_from_predictions(y, predicted, n_bootstrap=200).intervals["accuracy"]
        covered += low <= 0.8 <= high
    assert 0.88 <= covered / 200 <= 0.99


@pytest.mark.parametrize("level", [0.5, 0.9])
def test_prediction_intervals_cover_new_rows_as_often_as_they_say(level):
    generator = np.random.default_rng(0)
    y = generator.normal(size=2000)
    p = y - generator.exponential(1.0, 2000)  # residuals are not symmetric
    found = report_from_predictions(y[:1000], p[:1000], n_bootstrap=0, level=level).prediction_intervals
    low, high = found.around(p[1000:])
    assert ((y[1000:] >= low) & (y[1000:] <= high)).mean() == pytest.approx(level, abs=0.03)
    assert found.coverage[0] == pytest.approx(level, abs=0.03)
    residuals = np.sort(y[:1000] - p[:1000])
    count = int(1001 * (1 - level) / 2)
    assert (found.low[0], found.high[0]) == (residuals[count - 1], residuals[-count])


def test_prediction_intervals_cover_at_least_what_they_say_with_few_rows():
    generator = np.random.default_rng(0)
    covered = []
    for _ in range(400):
        residuals = generator.normal(size=21)
        zeros = np.zeros(20)
        found = report_from_predictions(residuals[:20], zeros, n_bootstrap=0, task="regression").prediction_intervals
        covered.append(found.low[0] <= residuals[20] <= found.high[0])
    assert np.mean(covered) >= 0.87  # 19 of 21 expected


def test_too_few_rows_have_no_prediction_intervals_and_the_report_says_so():
    report = report_from_predictions(np.arange(18.0), np.arange(18.0) + 1, n_bootstrap=0)
    assert report.prediction_intervals is None
    assert any("need 19 rows" in note for note in report.notes)
    assert report_from_predictions(np.arange(19.0), np.ones(19), n_bootstrap=0).prediction_intervals is not None


def test_curves_are_those_of_scikit_learn():
    y, p = binary()
    report = report_from_predictions(y, p, n_bootstrap=0)
    x, high, _ = sk.roc_curve(y, p)
    frame = report.frame("roc")
    assert np.array_equal(frame["false_positive_rate"], x)
    assert np.array_equal(frame["true_positive_rate"], high)
    assert set(frame["class"]) == {"1"}
    assert set(report_from_predictions(*multiclass(), n_bootstrap=0).frame("precision_recall")["class"]) == set("0123")


def test_slices_have_the_metrics_of_their_rows():
    y, p = binary()
    group = np.where(np.arange(200) < 20, "few", "many")
    report = report_from_predictions(y, p, by={"size": group}, n_bootstrap=50)
    for name in ("few", "many"):
        rows, one = group == name, report.slices[f"size={name}"]
        assert one.n_rows == rows.sum()
        assert one.metrics["accuracy"] == pytest.approx(sk.accuracy_score(y[rows], p[rows] > 0.5))
        assert one.metrics["roc_auc"] == pytest.approx(sk.roc_auc_score(y[rows], p[rows]))
        alone = report_from_predictions(y[rows], p[rows], n_bootstrap=50)
        assert one.intervals == alone.intervals
        assert one.is_small == (name == "few")


def test_the_worst_rows_have_the_largest_losses():
    y, p = multiclass()
    report = report_from_predictions(y, p, n_bootstrap=0, n_worst=3)
    losses = -np.log(p[np.arange(len(y)), y])
    order = np.argsort(-losses)[:3]
    assert [one.index for one in report.worst] == order.tolist()
    assert [one.loss for one in report.worst] == pytest.approx(losses[order].tolist())
    assert [one.target for one in report.worst] == [str(y[row]) for row in order]
    assert [one.prediction for one in report.worst] == [str(p[row].argmax()) for row in order]


def test_metrics_agree_with_those_that_evaluate_computes():
    y, p = binary()
    found = report_from_predictions(y, p, n_bootstrap=0).metrics
    assert found["ece"] >= 0
    auc = kt.metrics.AUC(num_thresholds=5001)
    auc.update_state(y, p)
    assert found["roc_auc"] == pytest.approx(float(auc.result()), abs=1e-3)
