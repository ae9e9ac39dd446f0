"""Reports on inputs that can be read in two ways: floats as classes, columns of tables, large numbers of groups."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score, log_loss, roc_auc_score
from sklearn.tree import DecisionTreeRegressor

import kerastorch as kt
from kerastorch.evaluation import report, report_from_predictions, temperature_scaling

GENERATOR = np.random.default_rng(3)
X = GENERATOR.normal(size=(60, 4)).astype("float32")
Y = GENERATOR.integers(0, 3, 60)
P = GENERATOR.dirichlet(np.ones(3), 60)
NAMES = np.array(["ant", "bee", "cat"])


@pytest.mark.parametrize(("true", "predicted"), [("f8", "f8"), ("i8", "f8"), ("f4", "i8")])
def test_whole_numbers_as_floats_are_classes_only_if_the_task_says_so(true, predicted):
    y, guess = Y.astype(true), P.argmax(1).astype(predicted)
    with pytest.raises(ValueError, match=r"classes or values\? Pass task='multiclass'.*task='regression'"):
        report_from_predictions(y, guess)
    found = report_from_predictions(y, guess, task="multiclass", n_bootstrap=0)
    assert found.metrics["accuracy"] == pytest.approx(accuracy_score(Y, P.argmax(1)))
    assert found.class_names == ("0", "1", "2")
    assert report_from_predictions(y, guess, task="regression", n_bootstrap=0).task == "regression"


def test_floats_with_a_fraction_on_one_side_are_values_without_a_question():
    assert report_from_predictions(Y, P[:, 0] * 3, n_bootstrap=0).task == "regression"
    assert report_from_predictions(np.arange(60.0), Y, n_bootstrap=0).task == "regression"  # all targets differ
    assert report_from_predictions(np.arange(300.0), np.arange(300.0) + 1, n_bootstrap=0).task == "regression"


def test_classes_as_floats_with_probabilities_are_classes():
    found = report_from_predictions(Y.astype("f8"), P, n_bootstrap=0)
    assert found.metrics["log_loss"] == pytest.approx(log_loss(Y, P))


def test_probabilities_of_0_and_1_have_a_note():
    found = report_from_predictions([0.0, 1.0, 1.0], [0.0, 1.0, 0.0], n_bootstrap=0)
    assert any("All probabilities are 0 or 1" in note for note in found.notes)
    assert not any("All probab" in note for note in report_from_predictions(Y, P, n_bootstrap=0).notes)


def test_the_columns_of_a_table_of_probabilities_name_the_classes():
    order = [2, 0, 1]
    table = pd.DataFrame(P[:, order], columns=NAMES[order])
    found = report_from_predictions(NAMES[Y], table, n_bootstrap=0)
    assert found.class_names == ("cat", "ant", "bee")
    assert found.metrics["accuracy"] == pytest.approx(accuracy_score(Y, P.argmax(1)))
    assert found.metrics["log_loss"] == pytest.approx(log_loss(Y, P))
    years = pd.DataFrame(P, columns=[2001, 2002, 2003])
    found = report_from_predictions(Y + 2001, years, n_bootstrap=0)
    assert found.class_names == ("2001", "2002", "2003")
    assert found.metrics["log_loss"] == pytest.approx(log_loss(Y, P))
    mixed = pd.DataFrame(P[:, order], columns=order)
    assert report_from_predictions(Y, mixed, n_bootstrap=0).metrics["log_loss"] == pytest.approx(log_loss(Y, P))


def test_columns_of_a_table_that_are_no_classes_are_an_error_unless_class_names_are_given():
    table = pd.DataFrame(P, columns=["p1", "p2", "p3"])
    with pytest.raises(ValueError, match=r"the class 'ant', and y_pred the columns p1, p2, p3\. Name the columns"):
        report_from_predictions(NAMES[Y], table)
    found = report_from_predictions(NAMES[Y], table, class_names=list(NAMES), n_bootstrap=0)
    assert found.metrics["log_loss"] == pytest.approx(log_loss(Y, P))
    assert report_from_predictions(Y, table, n_bootstrap=0).metrics["log_loss"] == pytest.approx(log_loss(Y, P))


def test_columns_of_targets_and_predictions_in_another_order_are_an_error():
    values = pd.DataFrame(P, columns=["a", "b", "c"])
    with pytest.raises(ValueError, match="y_true has the columns a, b, c, and y_pred c, b, a"):
        report_from_predictions(values, values[["c", "b", "a"]])
    assert report_from_predictions(values, values, n_bootstrap=0).metrics["mae"] == 0


def test_large_numbers_in_by_are_groups_of_their_own():
    ids, times = 1234567 + Y, 1.6e9 + np.arange(60)
    found = report_from_predictions(Y, P, by={"id": ids, "time": times, "code": ids.astype("f8")}, n_bootstrap=0)
    counts = [int((one == Y).sum()) for one in range(3)]
    assert [found.slices[f"id={1234567 + one}"].n_rows for one in range(3)] == counts
    assert [found.slices[f"code={1234567 + one}"].n_rows for one in range(3)] == counts
    quarters = [one for one in found.slices.values() if one.column == "time"]
    assert [one.n_rows for one in quarters] == [15, 15, 15, 15]
    assert quarters[0].value.startswith("1600000000 to ")


def test_classes_that_are_large_numbers_have_names_of_their_own():
    found = report_from_predictions(np.where(Y > 0, 1234568, 1234567), P[:, 0], n_bootstrap=0)
    assert found.class_names == ("1234567", "1234568")


def test_a_regressor_of_scikit_learn_predicts_values_though_they_are_whole():
    for y in (Y, Y > 0):
        tree = DecisionTreeRegressor().fit(X, y)
        assert report(tree, X, y.astype(int), n_bootstrap=0).task == "regression"


def test_a_classifier_of_several_labels_has_a_multilabel_report():
    labels = GENERATOR.integers(0, 2, (60, 3))
    forest = RandomForestClassifier(5, max_depth=3, random_state=0).fit(X, labels)
    found = report(forest, X, labels, n_bootstrap=0)
    p = np.stack([one[:, 1] for one in forest.predict_proba(X)], 1)
    assert found.task == "multilabel"
    assert found.metrics["f1_macro"] == pytest.approx(f1_score(labels, p > 0.5, average="macro"))
    assert found.metrics["roc_auc"] == pytest.approx(roc_auc_score(labels, p))
    both = RandomForestClassifier(5, random_state=0).fit(X, np.stack([Y, Y > 0], 1))
    with pytest.raises(ValueError, match="several outputs, and not each has two classes"):
        report(both, X, np.stack([Y, Y > 0], 1))


def test_whole_float_classes_of_an_estimator_are_named_without_a_point():
    estimator = LogisticRegression().fit(X, Y.astype("f8"))
    assert report(estimator, X, Y.astype("f8"), n_bootstrap=0).class_names == ("0", "1", "2")


def test_one_row_is_written_in_the_singular():
    assert "There is only 1 row:" in str(report_from_predictions([1], [[0.2, 0.5, 0.3]]))


def two_outputs():
    x = kt.Input((4,))
    model = kt.Model(x, {"kind": kt.layers.Dense(3, "softmax")(x), "size": kt.layers.Dense(1)(x)})
    model.compile("adam", {"kind": "sparse_categorical_crossentropy", "size": "mse"})
    return report(model, X, {"kind": Y, "size": X[:, :1]}, n_bootstrap=0, by={"first": X[:, 0] > 0}), model


def test_reports_on_several_outputs_are_saved_shown_and_drawn_as_one_report_is(tmp_path):
    import matplotlib.pyplot as plt

    found, _ = two_outputs()
    found.save(tmp_path / "new" / "all.json")
    content = json.loads((tmp_path / "new" / "all.json").read_text())
    assert content == found.to_dict()
    assert content["logs"] == found.logs
    assert content["outputs"]["size"]["metrics"]["mae"] == found["size"].metrics["mae"]
    found.save(tmp_path / "all.txt")
    assert (tmp_path / "all.txt").read_text() == f"{found}\n"
    with pytest.raises(ValueError, match=r"\.json or \.txt"):
        found.save(tmp_path / "all.csv")
    assert found.frame().loc[("size", "mae"), "value"] == found["size"].metrics["mae"]
    assert set(found.frame("confusion").index.get_level_values("output")) == {"kind"}
    with pytest.raises(ValueError, match="Unknown part of a multiclass report 'nothing'"):
        found.frame("nothing")
    assert set(found.plot(tmp_path / "all.png")) == {"kind", "size"}
    assert (tmp_path / "all-kind.png").exists()
    assert (tmp_path / "all-size.png").exists()
    assert set(found.plot("slices")) == {"kind", "size"}
    assert set(found.plot(kind="residuals")) == {"size"}
    with pytest.raises(ValueError, match="Unknown kind of plot"):
        found.plot("nothing")
    plt.close("all")


@pytest.mark.parametrize("argument", ["class_names", "task", "from_logits"])
def test_an_argument_for_an_unknown_output_is_an_error(argument):
    _, model = two_outputs()
    with pytest.raises(ValueError, match=rf"Unknown output in {argument} 'knid'. Did you mean 'kind'"):
        report(model, X, {"kind": Y, "size": X[:, :1]}, **{argument: {"knid": None}})
    single = kt.Sequential([kt.layers.Dense(3, "softmax")])
    single.compile("adam", "sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match=r"the model has one output\. Pass the value for it alone"):
        report(single, X, Y, **{argument: {"knid": None}})


def test_the_result_of_temperature_scaling_says_where_its_model_is():
    model = kt.Sequential([kt.layers.Dense(3, "softmax")])
    model.compile(kt.optimizers.Adam(0.1), "sparse_categorical_crossentropy")
    y = np.where(GENERATOR.random(60) < 0.3, Y, X[:, :3].argmax(1))
    model.fit(X, y, epochs=5, verbose=0)
    result = temperature_scaling(model, X, y)
    with pytest.raises(TypeError, match="Pass its attribute model"):
        report(result, X, y)
    with pytest.raises(AttributeError, match=r"result\.model\.predict\(\.\.\.\)"):
        result.predict(X)
    with pytest.raises(AttributeError, match=r"no attribute 'temp'\.$"):
        _ = result.temp
    assert report(result.model, X, y, n_bootstrap=0).metrics["log_loss"] == pytest.approx(result.after.log_loss)


def test_rows_of_weight_0_are_as_if_they_were_not_there():
    y, guess = GENERATOR.normal(size=(2, 80))
    weight = (GENERATOR.random(80) > 0.4).astype("f8")
    rows = np.flatnonzero(weight)
    for true, predicted in ((y, guess), (np.resize(Y, 80), np.resize(P, (80, 3)))):
        found = report_from_predictions(true, predicted, weight, n_bootstrap=0)
        alone = report_from_predictions(true[rows], predicted[rows], n_bootstrap=0)
        assert found.metrics == pytest.approx(alone.metrics)
        assert [one.index for one in found.worst] == rows[[one.index for one in alone.worst]].tolist()
        if found.prediction_intervals is not None:
            assert found.prediction_intervals.low == alone.prediction_intervals.low
            assert found.prediction_intervals.coverage == alone.prediction_intervals.coverage
            assert any("sample_weight does not change them" in note for note in found.notes)


def texts(axes):
    return [text.get_text() for text in (*axes.get_xticklabels(), *axes.get_yticklabels())]


def test_long_names_leave_room_for_the_panels_and_stay_apart():
    import matplotlib.pyplot as plt

    names = [f"a rather long name of the class {end}" for end in ("one", "two", "three")]
    by = {"a long name of a column": np.array(["a long value of a group", "b"])[Y % 2]}
    found = report_from_predictions(Y, P, class_names=names, n_bootstrap=0, by=by)
    figure = found.plot()
    figure.draw_without_rendering()
    assert min(axes.get_position().width for axes in figure.axes) > 0.15
    shown = [text for axes in figure.axes for text in texts(axes)]
    assert max(map(len, shown)) <= 32
    classes = [text for text in texts(figure.axes[0]) if "…" in text]
    assert len(set(classes)) == 3
    assert classes[0].endswith("one")
    legend = [text.get_text() for text in figure.axes[1].get_legend().get_texts()]
    assert len(set(legend)) == 4
    alone = found.plot("confusion")
    assert max(map(len, texts(alone.axes[0]))) == 32
    plt.close("all")


def test_columns_whose_names_matplotlib_reads_in_its_own_way_are_in_the_legend():
    import matplotlib.pyplot as plt

    y = pd.DataFrame(GENERATOR.normal(size=(60, 2)), columns=["_hidden", "a$b$"])
    figure = report_from_predictions(y, y + 0.1, n_bootstrap=0).plot()
    for axes in (figure.axes[0], figure.axes[2]):
        found = axes.get_legend().get_texts()
        assert [text.get_text().strip() for text in found] == ["_hidden", "a$b$"]
        assert not any(text.get_parse_math() for text in found)
    plt.close("all")


@pytest.mark.parametrize("shift", [0.0, 0.1, -1e9])
def test_residuals_that_are_all_equal_are_drawn(shift):
    import matplotlib.pyplot as plt

    y = GENERATOR.normal(size=40)
    axes = report_from_predictions(y, y - shift, n_bootstrap=0).plot("histogram").axes[0]
    assert sum(bar.get_height() for bar in axes.patches) == 40
    plt.close("all")


@pytest.mark.parametrize(("loss", "name"), [("mse", "mean_squared_error"), ("mae", "mean_absolute_error")])
def test_values_of_0_and_1_have_no_temperature(loss, name):
    model = kt.Sequential([kt.layers.Dense(1)])
    model.compile("adam", loss)
    y = (X[:, :1] > 0).astype("float32")
    model.fit(X, y, verbose=0)
    with pytest.raises(ValueError, match=f"logits of a classifier, and this model with loss '{name}' has none"):
        temperature_scaling(model, X, y)
