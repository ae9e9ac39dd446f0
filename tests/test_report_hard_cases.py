"""Reports on data that are hard to report on, their text, tables and plots."""

import json
import pickle

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import kerastorch as kt
from kerastorch.evaluation import report, report_from_predictions
from kerastorch.layers import Dense

GENERATOR = np.random.default_rng(0)
Y, P = GENERATOR.integers(0, 2, 60), GENERATOR.random(60)
TASKS = {
    "binary": (Y, P),
    "multiclass": (GENERATOR.integers(0, 3, 60), GENERATOR.dirichlet(np.ones(3), 60)),
    "multilabel": (GENERATOR.integers(0, 2, (60, 3)), GENERATOR.random((60, 3))),
    "regression": (GENERATOR.normal(size=60), GENERATOR.normal(size=60)),
    "columns": (GENERATOR.normal(size=(60, 3)), GENERATOR.normal(size=(60, 3))),
    "classes": (list("abcab"), list("abcba")),
    "many": (np.arange(100), np.full((100, 100), 0.001) + 0.9 * np.eye(100)),
}


@pytest.fixture(params=TASKS)
def each(request):
    y, p = TASKS[request.param]
    return report_from_predictions(y, p, n_bootstrap=20, by={"group": np.arange(len(y)) % 2})


@pytest.fixture(autouse=True)
def _no_open_figures():
    yield
    plt.close("all")


def model_of(last, loss="sparse_categorical_crossentropy", **options):
    model = kt.Sequential([kt.Input((4,)), last])
    model.compile("adam", loss, **options)
    return model


X = GENERATOR.normal(size=(40, 4)).astype("float32")
Y3 = GENERATOR.integers(0, 3, 40)


def test_the_text_fits_100_columns(each):
    lines = str(each).splitlines()
    assert max(map(len, lines)) <= 100
    assert lines[0].startswith("Report: ")
    assert repr(each) == str(each)


def test_a_report_can_be_pickled(each):
    again = pickle.loads(pickle.dumps(each))
    assert str(again) == str(each)
    assert np.array_equal(again.y_true, each.y_true)


def test_the_dict_holds_plain_values_that_json_takes(each, tmp_path):
    file = tmp_path / "sub" / "report.json"
    each.save(file)
    assert json.loads(file.read_text()) == each.to_dict()
    assert each.to_dict()["metrics"].keys() == each.metrics.keys()
    each.save(tmp_path / "report.txt")
    assert (tmp_path / "report.txt").read_text() == str(each) + "\n"
    with pytest.raises(ValueError, match=r"\.json or \.txt"):
        each.save("report.html")


def test_frames_have_the_numbers(each):
    frame = each.frame()
    assert frame["value"].to_dict() == pytest.approx(each.metrics, nan_ok=True)
    assert len(each.frame("worst")) == 5
    assert list(each.frame("slices")["rows"]) == [one.n_rows for one in each.slices.values()]
    part = "columns" if each.task == "regression" else "classes"
    assert list(each.frame(part).index) == list(each.class_names)
    with pytest.raises(ValueError, match="Unknown part of a"):
        each.frame("summary")


def test_plots_have_the_panels_of_the_task(each):
    figure = each.plot()
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    expected = {
        "regression": ["targets over predictions", "residuals", "distribution of residuals"],
        "multilabel": ["ROC curve", "precision-recall curve", "calibration", "precision and recall"],
    }.get(each.task, ["confusion matrix"])
    for one in [*expected, "slices"]:
        assert any(title.startswith(one) for title in titles), (one, titles)


def test_a_single_panel_can_be_plotted(tmp_path):
    found = report_from_predictions(Y, P, n_bootstrap=0)
    found.plot(str(tmp_path / "report.png"))
    assert (tmp_path / "report.png").stat().st_size > 10000
    for kind in ("confusion", "roc", "precision_recall", "calibration"):
        assert len(found.plot(kind).axes) == len(found.plot(kind=kind).axes) == 1
    found.plot(tmp_path / "one.png", kind="roc")
    assert (tmp_path / "one.png").exists()
    with pytest.raises(ValueError, match=r"Unknown kind of plot of this binary report 'rok'\. Did you mean 'roc'"):
        found.plot("rok")
    with pytest.raises(ValueError, match="slices"):
        found.plot("slices")
    with pytest.raises(ValueError, match="path must be"):
        found.plot(path="report.doc")


def test_the_curve_in_the_plot_is_that_of_the_predictions():
    from sklearn.metrics import roc_curve

    line = report_from_predictions(Y, P, n_bootstrap=0).plot("roc").axes[0].lines[0]
    x, y, _ = roc_curve(Y, P)
    assert np.array_equal(line.get_xdata(), x)
    assert np.array_equal(line.get_ydata(), y)


def test_the_worst_images_are_shown_with_their_classes():
    images = GENERATOR.random((40, 1, 6, 6)).astype("float32")
    model = kt.Sequential([kt.layers.Flatten(), Dense(3, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    found = report(model, images, Y3, n_bootstrap=0, n_worst=4, class_names=["cat", "dog", "bird"])
    assert np.array_equal(found.worst[1].input, images[found.worst[1].index])
    axes = found.plot("worst").axes
    assert [one.get_title() for one in axes] == [f"true: {w.target}\npredicted: {w.prediction}" for w in found.worst]
    loader = DataLoader(TensorDataset(torch.tensor(images), torch.tensor(Y3)), 8)
    again = report(model, loader, n_bootstrap=0, n_worst=4)
    assert np.array_equal(again.worst[1].input, found.worst[1].input)
    shuffled = DataLoader(loader.dataset, 8, shuffle=True)
    assert report(model, shuffled, n_bootstrap=0).worst[0].input is None


def test_classes_that_are_not_in_y_are_named():
    found = report_from_predictions([1, 1, 1, 1], [0.7, 0.3, 0.8, 0.9], n_bootstrap=10)
    assert np.isnan(found.metrics["roc_auc"])
    assert found.metrics["accuracy"] == 0.75
    assert "roc_auc" not in found.intervals
    assert any("class '0': not in y" in note for note in found.notes)
    found.plot()


def test_constant_targets_have_no_r2():
    found = report_from_predictions(np.full(30, 2.5), GENERATOR.normal(size=30), n_bootstrap=10)
    assert np.isnan(found.metrics["r2"])
    assert found.to_dict()["metrics"]["r2"] is None
    assert any("R2 is undefined" in note for note in found.notes)


def test_nan_is_refused_with_the_row():
    with pytest.raises(ValueError, match="y_pred contains NaN or infinity in 1 of 2 rows, first in row 1"):
        report_from_predictions([0, 1], [0.5, np.nan])
    model = model_of(Dense(3, "softmax"))
    x = X.copy()
    x[7] = np.nan
    with pytest.raises(ValueError, match="NaN or infinity for 1 of 40 rows, first for row 7"):
        report(model, x, Y3, check_finite=False)


def test_probabilities_whose_sum_is_not_1_are_refused():
    with pytest.raises(ValueError, match=r"with a sum of 1\.5"):
        report_from_predictions([0, 1, 2], np.full((3, 3), 0.5))
    model = model_of(Dense(3, "sigmoid"))
    with pytest.raises(ValueError, match="probabilities of 3 classes"):
        report(model, X, Y3)


def test_names_and_the_probability_of_the_second():
    found = report_from_predictions(["no", "yes", "yes"], [0.1, 0.8, 0.3], n_bootstrap=0)
    assert found.class_names == ("no", "yes")
    assert found.confusion.tolist() == [[1, 0], [1, 1]]
    swapped = report_from_predictions(["no", "yes", "yes"], [0.1, 0.8, 0.3], class_names=["yes", "no"], n_bootstrap=0)
    assert swapped.metrics["accuracy"] == pytest.approx(1 / 3)
    with pytest.raises(TypeError, match="class numbers, or both names"):
        report_from_predictions(["no", "yes", "yes"], [0, 1, 1])


@pytest.mark.parametrize("classes", [(-1, 1), (1, 2), (False, True)])
def test_two_classes_of_other_numbers(classes):
    found = report_from_predictions(np.array(classes)[Y], P, n_bootstrap=0)
    assert found.task == "binary"
    assert found.metrics == report_from_predictions(Y, P, n_bootstrap=0).metrics


@pytest.mark.parametrize(
    ("y", "p", "options", "message"),
    [
        ([0, 1, 1], [0.3, 0.2], {}, "y_true has 3 rows, y_pred has 2"),
        ([0, 1, 1], [-3.0, 2.0, 0.4], {}, "from_logits=True"),
        ([0, 5], [[0.5, 0.5], [0.1, 0.9]], {}, "y has the class 5"),
        ([0, 1], [0.1, 0.9], {"class_names": ["a", "a"]}, "different names"),
        ([0, 1], [0.1, 0.9], {"class_names": ["a"]}, "1 names, and there are 2 classes"),
        ([0, 1], [0.1, 0.9], {"threshold": 1.5}, "threshold must be"),
        ([0, 1], [0.1, 0.9], {"confidence": 95}, "confidence must be"),
        ([0, 1], [0.1, 0.9], {"n_bootstrap": -1}, "n_bootstrap must be"),
        ([0, 1], [0.1, 0.9], {"sample_weight": [0, 0]}, "sample_weight"),
        ([0, 1], [0.1, 0.9], {"by": "sex"}, "x has no named columns"),
        ([0, 1], [0.1, 0.9], {"by": [1, 2, 3]}, "3 labels, and the report 2 rows"),
        ([0, 1], [0.1, 0.9], {"task": "binari"}, "Did you mean 'binary'"),
        (list(range(200)), list(range(200)), {}, "task='regression' if they are values"),
        ([], [], {}, "at least one row"),
        (list("abc"), np.eye(2)[[0, 1, 1]], {}, "class_names"),
    ],
)
def test_bad_arguments_are_refused(y, p, options, message):
    with pytest.raises(ValueError, match=message):
        report_from_predictions(y, p, **options)


@pytest.mark.parametrize("names", [{0: "a", 1: "b"}, {"a", "b"}])
def test_class_names_whose_order_is_not_that_of_the_classes_are_refused(names):
    with pytest.raises(TypeError, match="in the order of the classes"):
        report_from_predictions([0, 1], [0.1, 0.9], class_names=names)


def test_class_names_as_one_string_are_refused():
    with pytest.raises(TypeError, match="list of names"):
        report_from_predictions([0, 1], [0.1, 0.9], class_names="ab")


def test_slices_of_columns_of_a_table():
    model = model_of(Dense(3, "softmax"))
    table = pd.DataFrame(X, columns=["a", "b", "c", "d"])
    found = report(model, table, Y3, by="a", n_bootstrap=0)
    quarters = pd.qcut(table["a"], 4, labels=False)
    right = found.y_true == found.y_pred
    assert [one.n_rows for one in found.slices.values()] == [10, 10, 10, 10]
    assert [one.metrics["accuracy"] for one in found.slices.values()] == pytest.approx(
        [right[quarters == number].mean() for number in range(4)]
    )
    both = report(model, table, Y3, by=["a", "b"], n_bootstrap=0).slices.values()
    assert {one.column for one in both} == {"a", "b"}
    with pytest.raises(ValueError, match="x has no column 'e'"):
        report(model, table, Y3, by="e")


def test_slices_of_labels_in_every_form():
    labels = np.where(np.arange(60) % 3 == 0, "x", "y")
    forms = {
        "array": labels,
        "list": labels.tolist(),
        "series": pd.Series(labels, index=range(100, 160), name="group"),
        "categories": pd.Series(pd.Categorical(labels), name="group"),
        "dict": {"group": labels},
        "table": pd.DataFrame({"group": labels}),
    }
    expected = report_from_predictions(Y, P, by=labels, n_bootstrap=0).slices
    assert list(expected) == ["group=x", "group=y"]
    for name, form in forms.items():
        found = report_from_predictions(Y, P, by=form, n_bootstrap=0).slices
        assert {key: one.metrics for key, one in found.items()} == {
            key: one.metrics for key, one in expected.items()
        }, name
    numbers = report_from_predictions(Y, P, by=torch.arange(60) % 2, n_bootstrap=0).slices
    assert list(numbers) == ["group=0", "group=1"]


def test_rows_with_a_missing_label_are_a_slice_of_their_own():
    labels = pd.Series(["a", None, "b", "a"] * 15)
    found = report_from_predictions(Y, P, by=labels, n_bootstrap=0).slices
    assert {one.value: one.n_rows for one in found.values()} == {"a": 30, "b": 15, "missing": 15}
    found = report_from_predictions(Y, P, by=[1.0, np.nan, 2.0] * 20, n_bootstrap=0).slices
    assert {one.value: one.n_rows for one in found.values()} == {"1": 20, "2": 20, "missing": 20}


def test_too_many_slices_are_refused():
    with pytest.raises(ValueError, match="too many slices"):
        report_from_predictions(np.zeros(200), np.ones(200), by=[f"id{i}" for i in range(200)], task="regression")


def test_labels_beside_a_shuffling_loader_are_refused():
    loader = DataLoader(TensorDataset(torch.tensor(X), torch.tensor(Y3)), 8, shuffle=True)
    model = model_of(Dense(3, "softmax"))
    with pytest.raises(ValueError, match=r"report\(\): the DataLoader shuffles"):
        report(model, loader, by=np.arange(40) % 2)
    assert report(model, loader, n_bootstrap=0).n_rows == 40


def test_the_threshold_decides_what_is_predicted():
    found = report_from_predictions(Y, P, threshold=0.3, n_bootstrap=0)
    assert np.array_equal(found.y_pred, P > 0.3)
    assert any("0.3" in note for note in found.notes)
    model = model_of(Dense(2, "softmax"))
    binary = (Y3 > 0).astype("int64")
    found = report(model, X, binary, threshold=0.7, n_bootstrap=0)
    assert np.array_equal(found.y_pred, model.predict(X, verbose=0)[:, 1] > 0.7)


def test_soft_targets_are_noted():
    model = model_of(Dense(3, "softmax"), "categorical_crossentropy")
    soft = GENERATOR.dirichlet(np.ones(3), 40).astype("float32")
    found = report(model, X, soft, n_bootstrap=0)
    assert np.array_equal(found.y_true, soft.argmax(1))
    assert any("between 0 and 1" in note for note in found.notes)


def test_the_names_of_target_columns_come_from_a_table():
    model = model_of(Dense(2), "mse")
    found = report(model, X, pd.DataFrame(X[:, :2], columns=["price", "rent"]), n_bootstrap=0)
    assert list(found.per_column) == ["price", "rent"]


def test_half_precision_outputs_are_probabilities_too():
    model = model_of(Dense(3, "softmax"), precision="mixed_bfloat16")
    found = report(model, X, Y3, n_bootstrap=0)
    assert found.probabilities.sum(1) == pytest.approx(np.ones(40))


def test_two_reports_at_once_see_their_own_rows():
    from concurrent.futures import ThreadPoolExecutor

    model = model_of(Dense(3, "softmax"), metrics=["accuracy"])
    expected = report(model, X, Y3, n_bootstrap=0).metrics
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: report(model, X, Y3, n_bootstrap=0), range(12)))
        logs = list(pool.map(lambda _: model.evaluate(X, Y3, verbose=0, return_dict=True), range(4)))
    assert all(one.n_rows == 40 and one.metrics == expected for one in found)
    assert all(one == logs[0] for one in logs)


def test_a_callback_may_report_within_fit():
    model = model_of(Dense(3, "softmax"), metrics=["accuracy"])
    start = model.get_weights()
    reports = []

    class Reporting(kt.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            reports.append(report(self.model, X, Y3, n_bootstrap=0))

    history = model.fit(X, Y3, 8, epochs=3, verbose=0, validation_data=(X, Y3), callbacks=Reporting())
    plain = model_of(Dense(3, "softmax"), metrics=["accuracy"])
    plain.set_weights(start)
    expected = plain.fit(X, Y3, 8, epochs=3, verbose=0, validation_data=(X, Y3))
    assert [one.metrics["log_loss"] for one in reports] == pytest.approx(history["val_loss"], rel=1e-5)
    assert history.history == expected.history


def test_too_many_classes_and_too_large_outputs_are_refused(monkeypatch):
    from kerastorch.evaluation import collect

    with pytest.raises(ValueError, match="at most 2000 classes, and the outputs have 2001"):
        report_from_predictions(np.zeros(2, int), np.full((2, 2001), 1 / 2001))
    monkeypatch.setattr(collect, "MOST_BYTES", 100)
    with pytest.raises(ValueError, match="fewer rows"):
        report(model_of(Dense(3, "softmax")), X, Y3)


def test_rankings_that_are_not_stored_give_the_same_areas(monkeypatch):
    from kerastorch.evaluation import class_metrics

    y, p = TASKS["multiclass"]
    expected = report_from_predictions(y, p, n_bootstrap=0)
    monkeypatch.setattr(class_metrics, "MOST_STORED", 0)
    found = report_from_predictions(y, p, n_bootstrap=0)
    assert found.metrics == expected.metrics
    assert found.per_class == expected.per_class


def test_a_threshold_beside_several_classes_is_noted():
    found = report_from_predictions(*TASKS["multiclass"], threshold=0.7, n_bootstrap=0)
    assert any("threshold is not used" in note for note in found.notes)
