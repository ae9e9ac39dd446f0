"""What all plots share: their names, figures, files and errors, and what they leave as it is."""

import inspect
import subprocess
import sys
import traceback

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import kerastorch as kt


@pytest.fixture(autouse=True)
def _closed_figures():
    plt.switch_backend("agg")
    yield
    plt.close("all")


X = np.random.default_rng(0).normal(size=(20, 2)).astype("float32")
Y = (X.sum(1) > 0).astype(int)


NET = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Dropout(0.5), nn.Linear(3, 1))


def names_of_formulas(x):
    return 2 * x


names_of_formulas.__name__ = "$a^$"  # no formula that mathtext can read


# a call of each plot, with further arguments
PLOTS = {
    "plot_activation": lambda **given: kt.utils.plot_activation("tanh", **given),
    "plot_decision_boundary": lambda **given: kt.utils.plot_decision_boundary(NET, X, Y, resolution=20, **given),
    "plot_confusion_matrix": lambda **given: kt.utils.plot_confusion_matrix([0, 1], [0, 0], **given),
    "plot_predictions": lambda **given: kt.utils.plot_predictions(np.zeros((2, 4, 4)), [0, 1], [0, 0], **given),
    "plot_weights": lambda **given: kt.utils.plot_weights(NET, **given),
}
WITH_AXES = ["plot_activation", "plot_decision_boundary", "plot_confusion_matrix"]


def test_the_signatures_are_frozen():
    signatures = {name: list(inspect.signature(getattr(kt.utils, name)).parameters) for name in PLOTS}
    assert signatures == {
        "plot_activation": ["activation", "derivative", "range", "together", "to_file", "ax"],
        "plot_decision_boundary": [
            "model", "x", "y", "class_names", "feature_names", "resolution", "threshold", "legend", "to_file", "ax",
        ],
        "plot_confusion_matrix": ["y_true", "y_pred", "class_names", "normalize", "to_file", "ax"],
        "plot_predictions": ["images", "y_true", "y_pred", "class_names", "n", "columns", "cmap", "to_file"],
        "plot_weights": ["model", "kind", "name", "n", "image_shape", "to_file"],
    }  # fmt: skip


def test_utils_shows_the_plots_without_importing_matplotlib():
    script = (
        "import sys, kerastorch as kt\n"
        f"assert set({list(PLOTS)}) <= set(dir(kt.utils))\n"
        f"assert all(callable(getattr(kt.utils, name)) for name in {list(PLOTS)})\n"
        "assert 'matplotlib' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_without_matplotlib_one_sentence_names_the_package():
    calls = [
        "kt.utils.plot_activation('relu')",
        "kt.utils.plot_decision_boundary(None, [[0, 1]], [0])",
        "kt.utils.plot_confusion_matrix([0], [0])",
        "kt.utils.plot_predictions([[0]], [0])",
        "kt.utils.plot_weights(None)",
        "kt.History().plot()",
        "kt.plot_histories({})",
    ]
    script = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "import kerastorch as kt\n"
        f"for call in {calls!r}:\n"
        "    try:\n        eval(call)\n    except ImportError as error:\n        print(error)\n"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    names = [*PLOTS, "History.plot", "plot_histories"]
    assert found.stdout.splitlines() == [f"{name} needs matplotlib: pip install matplotlib" for name in names]


@pytest.mark.parametrize("name", PLOTS)
def test_a_plot_is_a_figure_of_pyplot(name):
    figure = PLOTS[name]()
    assert plt.get_fignums() == [figure.number]  # what plt.show() shows
    assert plt.gcf() is figure


@pytest.mark.parametrize("name", PLOTS)
@pytest.mark.parametrize(("suffix", "start"), [(".png", b"\x89PNG"), (".PNG", b"\x89PNG"), (".pdf", b"%PDF")])
def test_a_plot_is_saved_in_the_format_of_the_suffix(name, suffix, start, tmp_path):
    path = tmp_path / "new" / f"plot{suffix}"  # the folder is created
    PLOTS[name](to_file=path)
    assert path.read_bytes().startswith(start)


@pytest.mark.parametrize("name", PLOTS)
def test_an_invalid_file_is_an_error_before_there_is_a_figure(name, tmp_path):
    for to_file, kind in (("plot.xyz", ValueError), ("plot", ValueError), (3, TypeError), ("", TypeError)):
        with pytest.raises(kind, match="to_file must be"):
            PLOTS[name](to_file=to_file)
    (tmp_path / "plot.png").mkdir()
    with pytest.raises(IsADirectoryError):
        PLOTS[name](to_file=tmp_path / "plot.png")
    assert plt.get_fignums() == []


@pytest.mark.parametrize("name", WITH_AXES)
def test_a_plot_is_drawn_into_given_axes(name, tmp_path):
    figure, (left, right) = plt.subplots(1, 2)
    assert PLOTS[name](ax=right, to_file=tmp_path / "both.png") is figure
    assert right.has_data()
    assert not left.has_data()
    assert plt.get_fignums() == [figure.number]
    assert (tmp_path / "both.png").stat().st_size > 1000


@pytest.mark.parametrize("name", WITH_AXES)
def test_a_plot_in_a_part_of_a_figure_returns_the_whole_figure(name):
    figure = plt.figure()
    part, _ = figure.subfigures(1, 2)
    assert PLOTS[name](ax=part.subplots()) is figure


@pytest.mark.parametrize("name", WITH_AXES)
def test_axes_must_be_axes(name):
    with pytest.raises(TypeError, match="ax must be matplotlib axes"):
        PLOTS[name](ax=plt.figure())


@pytest.mark.parametrize("name", PLOTS)
def test_a_plot_leaves_settings_and_random_states_as_they_are(name):
    settings = dict(mpl.rcParams)
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()
    PLOTS[name]()
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert str(np.random.get_state()) == str(numpy_state)
    assert dict(mpl.rcParams) == settings


@pytest.mark.parametrize("style", ["default", "dark_background"])
@pytest.mark.parametrize("name", PLOTS)
def test_a_plot_is_drawn_without_warnings_in_any_style(name, style):
    with plt.style.context(style):
        PLOTS[name]().canvas.draw()


@pytest.mark.parametrize("name", PLOTS)
def test_names_in_the_data_are_not_read_as_formulas(name):
    names = ["$a^$", "$b_$"]
    calls = {
        "plot_activation": lambda: kt.utils.plot_activation([names_of_formulas, names_of_formulas], together=True),
        "plot_decision_boundary": lambda: kt.utils.plot_decision_boundary(
            NET, pd.DataFrame(X, columns=names), Y, names, resolution=9
        ),
        "plot_confusion_matrix": lambda: kt.utils.plot_confusion_matrix([0, 1], [0, 0], names),
        "plot_predictions": lambda: kt.utils.plot_predictions(np.zeros((1, 4, 4)), [0], [1], names),
        "plot_weights": lambda: kt.utils.plot_weights(nn.ModuleDict({"$w^$": nn.Linear(2, 2)})),
    }
    calls[name]().canvas.draw()  # mathtext would raise an error


def test_an_error_shows_the_users_line_alone():
    with pytest.raises(ValueError, match="Unknown activation") as caught:
        kt.utils.plot_activation("rellu")
    assert [frame.filename for frame in traceback.extract_tb(caught.value.__traceback__)] == [__file__]


def test_a_decision_boundary_without_a_legend():
    assert kt.utils.plot_decision_boundary(NET, X, Y, resolution=20).axes[0].get_legend() is not None
    assert kt.utils.plot_decision_boundary(NET, X, Y, resolution=20, legend=False).axes[0].get_legend() is None


def test_gray_images_in_another_colormap():
    figure = kt.utils.plot_predictions(np.zeros((1, 4, 4)), [0], cmap="gray_r")
    assert figure.axes[0].images[0].get_cmap().name == "gray_r"
