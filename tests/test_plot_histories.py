"""plot_histories: the curves of several trainings in one figure."""

from types import SimpleNamespace

import numpy as np
import pytest

import kerastorch as kt
from kerastorch import History

plt = pytest.importorskip("matplotlib.pyplot")

X, Y = np.ones((8, 1), dtype="float32"), np.ones((8, 1), dtype="float32")


@pytest.fixture(autouse=True)
def closed_figures():
    plt.close("all")
    yield
    plt.close("all")


def history_of(**logs):
    history = History()
    for epoch in range(max(map(len, logs.values()))):
        history.on_epoch_end(epoch, {n: v[epoch] for n, v in logs.items() if epoch < len(v) and v[epoch] is not None})
    return history


def trained():
    model = kt.Sequential([kt.layers.Dense(1, kernel_initializer="zeros")])
    model.compile(kt.optimizers.SGD(0.125), "mse")
    model.fit(X, Y, epochs=3, validation_data=(X, Y), verbose=0)
    return model


def lines_of(axes):
    """Return the lines of a panel: color, style, epochs, values."""
    return [(one.get_color(), one.get_linestyle(), *map(list, one.get_data())) for one in axes.lines]


def legend_of(figure):
    (legend,) = figure.legends
    return [text.get_text() for text in legend.get_texts()]


def colors_of(figure):
    (legend,) = figure.legends
    handles = zip(legend.get_lines(), legend.get_texts(), strict=True)
    return {text.get_text().strip(): line.get_color() for line, text in handles}


SHORT = history_of(loss=[3.0, 2.0], val_loss=[4.0, 3.0], accuracy=[0.1, 0.2])
LONG = history_of(loss=[3.0, 1.0, 0.5], val_loss=[None, 2.0, 2.5])


def test_there_is_a_panel_for_each_log_and_a_color_for_each_run():
    figure = kt.plot_histories({"short": SHORT, "long": LONG})
    assert [axes.get_ylabel() for axes in figure.axes] == ["loss", "accuracy"]
    assert legend_of(figure) == ["short", "long", "training", "validation"]
    first, second = (colors_of(figure)[name] for name in ("short", "long"))
    assert first != second
    assert lines_of(figure.axes[0]) == [
        (first, "--", [1, 2], [3.0, 2.0]),
        (first, "-", [1, 2], [4.0, 3.0]),
        (second, "--", [1, 2, 3], [3.0, 1.0, 0.5]),
        (second, "-", [2, 3], [2.0, 2.5]),
    ]
    assert lines_of(figure.axes[1]) == [(first, "-", [1, 2], [0.1, 0.2])]  # no run has a validation of it
    assert {axes.get_xlabel() for axes in figure.axes} == {"epoch"}
    assert plt.get_fignums() == [figure.number]


def test_without_any_validation_the_lines_are_solid_and_the_legend_has_the_runs():
    figure = kt.plot_histories({"a": {"loss": [1.0, 0.5]}, "b": {"loss": [1.0, 0.25]}})
    assert legend_of(figure) == ["a", "b"]
    assert {style for _, style, _, _ in lines_of(figure.axes[0])} == {"-"}


def test_logs_choose_the_panels_and_the_curves():
    runs = {"short": SHORT, "long": LONG}
    assert [axes.get_ylabel() for axes in kt.plot_histories(runs, ["accuracy", "loss"]).axes] == ["loss", "accuracy"]
    assert len(lines_of(kt.plot_histories(runs, "loss").axes[0])) == 4
    figure = kt.plot_histories(runs, ["val_loss"])
    assert [values for *_, values in lines_of(figure.axes[0])] == [[4.0, 3.0], [2.0, 2.5]]
    with pytest.raises(ValueError, match=r"Unknown log 'acuracy'\. Did you mean 'accuracy'"):
        kt.plot_histories(runs, ["acuracy"])


def test_runs_may_be_models_files_dicts_and_histories_of_keras(tmp_path):
    model = trained()
    model.history.save(tmp_path / "saved.json")
    keras = SimpleNamespace(history=dict(model.history.history), epoch=[0, 1, 2])
    arrays = {name: np.array(values) for name, values in model.history.history.items()}
    runs = {
        "model": model, "path": tmp_path / "saved.json", "text": str(tmp_path / "saved.json"),
        "dict": model.history.history, "keras": keras, "arrays": arrays,
        "estimator": SimpleNamespace(history_=model.history, fit=model.fit),
    }  # fmt: skip
    (axes,) = kt.plot_histories(runs).axes
    curves = lines_of(axes)
    assert len(curves) == 14
    for _, style, epochs, values in curves:
        assert epochs == [1, 2, 3]
        assert values == model.history["val_loss" if style == "-" else "loss"]


def test_a_list_gets_numbers_or_names_of_files(tmp_path):
    SHORT.save(tmp_path / "saved.json")
    figure = kt.plot_histories([SHORT, tmp_path / "saved.json"], "loss")
    assert legend_of(figure) == ["run 1", "saved", "training", "validation"]


def test_the_name_of_a_run_is_any_object_and_never_a_formula():
    figure = kt.plot_histories({0.1: SHORT, "_hidden": SHORT, "$x$": SHORT, "": SHORT, "two\nlines": SHORT})
    assert legend_of(figure)[:5] == ["0.1", " _hidden", "$x$", "(no name)", "two lines"]
    assert not any(text.get_parse_math() for text in figure.legends[0].get_texts())


@pytest.mark.parametrize("wrap", [list, tuple, lambda folds: SimpleNamespace(histories=list(folds))])
def test_several_trainings_of_one_name_have_one_color_and_a_mean(wrap):
    folds = [{"loss": [1.0, 2.0, 3.0]}, {"loss": [3.0, 4.0]}]
    figure = kt.plot_histories({"folds": wrap(folds), "one": {"loss": [9.0]}})
    colors = colors_of(figure)
    *several, one = lines_of(figure.axes[0])
    assert [color for color, *_ in several] == [colors["folds"]] * 3
    assert [(epochs, values) for _, _, epochs, values in several] == [
        ([1, 2, 3], [1.0, 2.0, 3.0]),
        ([1, 2], [3.0, 4.0]),
        ([1, 2], [2.0, 3.0]),  # the mean of the epochs that both have
    ]
    assert one == (colors["one"], "-", [1], [9.0])
    widths = [line.get_linewidth() for line in figure.axes[0].lines]
    assert widths[0] == widths[1] < widths[3] < widths[2]


def test_many_runs_have_different_colors_and_a_legend_within_the_figure(tmp_path):
    runs = {f"learning rate {number}": {"loss": [1.0, 1.0 / number]} for number in range(1, 41)}
    figure = kt.plot_histories(runs, path=tmp_path / "runs.png")
    assert (tmp_path / "runs.png").read_bytes().startswith(b"\x89PNG")
    assert len(set(colors_of(figure).values())) == 40
    figure.canvas.draw()
    width, height = figure.get_size_inches() * figure.dpi
    box = figure.legends[0].get_window_extent()
    assert box.x0 >= 0
    assert box.y0 >= 0
    assert box.x1 <= width
    assert box.y1 < figure.axes[0].get_window_extent().y0  # below the panel
    assert figure.axes[0].get_window_extent().height > 150
    assert height > 480


def test_a_run_without_epochs_is_named_and_has_no_line():
    figure = kt.plot_histories({"a": SHORT, "stopped": History()}, "loss")
    assert legend_of(figure)[:2] == ["a", "stopped (no epoch)"]
    with pytest.raises(ValueError, match="There is no epoch to plot"):
        kt.plot_histories({"a": History()})


def test_a_history_of_several_fits_is_one_curve():
    model = trained()
    model.fit(X, Y, epochs=2, verbose=0)
    (axes,) = kt.plot_histories({"a": model}).axes
    assert [epochs for _, _, epochs, _ in lines_of(axes)] == [[1, 2, 3, 4, 5], [1, 2, 3]]


def test_what_is_no_training_is_answered_with_what_to_pass(tmp_path):
    untrained = kt.Sequential([kt.layers.Dense(1)])
    for given, error, message in [
        (SHORT, TypeError, r"histories must be a dict .*history\.plot\(\) draws the curves of one training"),
        (3, TypeError, "histories must be a dict from names to trainings, or a list, got 3"),
        ({}, ValueError, "histories has no training"),
        ([], ValueError, "histories has no training"),
        (
            SHORT.history,
            TypeError,
            r"these are the curves of one training\. Write plot_histories\(\{'name': curves\}\)",
        ),
        ({"a": 3}, TypeError, "'a' must be a History, the path of a saved one"),
        ({"a": []}, TypeError, "'a' must be a History"),
        ({"a": {"loss": 3}}, TypeError, "'a' must be a History.* got a dict with 'loss': 3"),
        ({"a": untrained}, TypeError, "'a' is a model without a history: it was not trained by fit"),
        ({"a": str(tmp_path / "missing.json")}, FileNotFoundError, "There is no file"),
    ]:
        with pytest.raises(error, match=message):
            kt.plot_histories(given)
    with pytest.raises(ValueError, match=r"path must be a file name that ends in \.png"):
        kt.plot_histories({"a": SHORT}, path=tmp_path / "a.xyz")
    assert plt.get_fignums() == []
