"""plot_confusion_matrix: the numbers in the cells are those of scikit-learn, and can be read."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.colors import to_rgb
from sklearn.metrics import confusion_matrix

import kerastorch as kt

plot = kt.utils.plot_confusion_matrix


@pytest.fixture(autouse=True)
def _closed_figures():
    plt.switch_backend("agg")
    yield
    plt.close("all")


RANDOM = np.random.default_rng(0)
TRUE = RANDOM.integers(0, 4, 200)
PREDICTED = np.where(RANDOM.random(200) < 0.7, TRUE, RANDOM.integers(0, 4, 200))


def cells(figure):
    """Return the texts of the cells as an array, by their places."""
    axes = figure.axes[0]
    count = len(axes.get_xticks())
    found = np.full((count, count), "", dtype=object)
    for text in axes.texts:
        column, row = text.get_position()
        found[row, column] = text.get_text()
    return found


def labels(figure):
    axes = figure.axes[0]
    across = [text.get_text() for text in axes.get_xticklabels()]
    assert across == [text.get_text() for text in axes.get_yticklabels()]
    return across


def test_the_cells_are_the_counts_of_scikit_learn():
    figure = plot(TRUE, PREDICTED)
    expected = confusion_matrix(TRUE, PREDICTED)
    assert cells(figure).tolist() == expected.astype(str).tolist()
    np.testing.assert_array_equal(figure.axes[0].images[0].get_array(), expected)
    assert labels(figure) == ["0", "1", "2", "3"]
    assert (figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()) == ("predicted class", "true class")


@pytest.mark.parametrize("normalize", ["true", "pred", "all"])
def test_normalized_cells_are_the_fractions_of_scikit_learn(normalize):
    figure = plot(TRUE, PREDICTED, normalize=normalize)
    expected = confusion_matrix(TRUE, PREDICTED, normalize=normalize)
    np.testing.assert_allclose(figure.axes[0].images[0].get_array(), expected)
    assert cells(figure).tolist() == [[f"{value:.2f}" for value in row] for row in expected]
    assert "fraction" in figure.axes[0].get_title()


@pytest.mark.parametrize(
    "convert",
    [
        list,
        lambda labels: torch.from_numpy(labels)[:, None],
        lambda labels: torch.from_numpy(labels).float().requires_grad_(),
        lambda labels: pd.Series(labels, index=np.arange(200)[::-1]),
        lambda labels: np.eye(4)[labels],
        lambda labels: [torch.tensor(one) for one in labels],
    ],
    ids=["list", "column", "float tensor", "series", "one-hot", "list of tensors"],
)
def test_classes_come_in_many_forms(convert):
    expected = confusion_matrix(TRUE, PREDICTED).astype(str).tolist()
    assert cells(plot(convert(TRUE), convert(PREDICTED))).tolist() == expected


@pytest.mark.parametrize("convert", [lambda x: x, lambda x: torch.softmax(x, 1), lambda x: torch.log_softmax(x, 1)])
def test_outputs_for_each_class_predict_the_largest(convert):
    logits = convert(torch.randn(200, 4, generator=torch.Generator().manual_seed(0)))
    expected = confusion_matrix(TRUE, logits.argmax(1).numpy()).astype(str).tolist()
    for outputs in (logits, logits.numpy(), logits.tolist(), logits.clone().requires_grad_()):
        assert cells(plot(TRUE, outputs)).tolist() == expected


def test_a_column_of_probabilities_is_compared_with_a_half():
    true, probability = [0, 0, 1, 1, 1], [0.2, 0.7, 0.5, 0.51, 1.0]
    expected = [["1", "1"], ["1", "2"]]
    assert cells(plot(true, probability)).tolist() == expected
    assert cells(plot(true, np.array(probability)[:, None])).tolist() == expected
    assert labels(plot([0, 0], [0.1, 0.2])) == ["0", "1"]  # also if nothing is of class 1


def test_a_class_without_samples_has_its_row():
    figure = plot([0, 2], [[0.9, 0, 0.1, 0], [0.2, 0, 0.8, 0]], normalize="true")
    assert labels(figure) == ["0", "1", "2", "3"]
    assert cells(figure)[1].tolist() == ["0.00"] * 4
    assert labels(plot([0, 2], [2, 2], ["a", "b", "c"])) == ["a", "b", "c"]
    assert labels(plot([-1, 1], [1, 1])) == ["-1", "1"]


def test_classes_may_be_names():
    true, predicted = np.array(["cat", "dog", "dog"]), ["dog", "dog", "cat"]
    assert labels(plot(true, predicted)) == ["cat", "dog"]
    assert cells(plot(true, pd.Series(predicted))).tolist() == [["0", "1"], ["1", "1"]]
    figure = plot(true, predicted, ["dog", "cat", "eel"])
    assert labels(figure) == ["dog", "cat", "eel"]
    expected = confusion_matrix(true, predicted, labels=["dog", "cat", "eel"])
    assert cells(figure).tolist() == expected.astype(str).tolist()


def contrast(first, second):
    """Return the contrast ratio of two colors, as WCAG 2 defines it."""

    def luminance(color):
        parts = np.asarray(to_rgb(color))
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return linear @ [0.2126, 0.7152, 0.0722]

    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("normalize", [None, "true"])
def test_every_number_can_be_read_on_its_cell(normalize):
    true = np.repeat(np.arange(20), 20)
    predicted = np.concatenate([np.repeat([row, (row + 1) % 20], [row + 1, 19 - row]) for row in range(20)])
    figure = plot(true, predicted, normalize=normalize)
    image = figure.axes[0].images[0]
    found = []
    for text in figure.axes[0].texts:
        column, row = text.get_position()
        found.append(contrast(text.get_color(), image.to_rgba(image.get_array()[row : row + 1, column])[0][:3]))
    assert len(found) == 400
    assert min(found) > 4.5  # the least that WCAG 2 asks for


@pytest.mark.parametrize(("count", "normalize"), [(2, None), (10, "true"), (30, None)])
def test_the_numbers_fit_into_their_cells(count, normalize):
    true = np.repeat(np.arange(count), 50_000 // count)
    figure = plot(true, true, normalize=normalize)
    figure.canvas.draw()
    axes = figure.axes[0]
    cell = axes.get_window_extent().width / count
    assert max(text.get_window_extent().width for text in axes.texts) < cell
    assert min(text.get_fontsize() for text in axes.texts) >= 6


def test_long_names_do_not_overlap():
    names = ["T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]
    figure = plot(np.arange(10), np.arange(10), names)
    figure.canvas.draw()
    assert labels(figure) == names
    assert {text.get_rotation() for text in figure.axes[0].get_xticklabels()} == {45.0}
    box = figure.get_tightbbox()
    assert box.x0 >= 0
    assert box.y0 >= 0


@pytest.mark.parametrize(
    ("true", "predicted", "given", "kind", "message"),
    [
        ([0, 1], [0], {}, ValueError, "y_true has 2 rows, y_pred has 1"),
        ([0, 1], [-2.0, 3.5], {}, ValueError, "from -2 to 3.5, which are no probabilities. For logits.*y_pred > 0"),
        ([0, 0.5], [0, 1], {}, ValueError, "y_true must hold class numbers, got 0.5"),
        ([[0, 1, 1]], [0], {}, ValueError, "y_true must hold class numbers, shape"),
        (np.zeros((2, 2, 2)), [0, 1], {}, ValueError, r"y_true must have the shape \(n,\), got \(2, 2, 2\)"),
        ([0, 1], [[np.nan, 1], [0, 1]], {}, ValueError, "y_pred contains NaN"),
        ([], [], {}, ValueError, "y_true must have at least one row"),
        ([0, 3], [0, 1], {"class_names": ["a", "b"]}, ValueError, "a class 3, but class_names has 2"),
        ([0, 3], [[1, 0], [0, 1]], {}, ValueError, "a class 3, but y_pred has columns for 2"),
        ([0, 1], [[1, 0, 0], [0, 1, 0]], {"class_names": ["a"]}, ValueError, "1 names, but there are 3 classes"),
        (["a"], ["b"], {"class_names": ["a"]}, ValueError, "class_names lacks 'b'"),
        (["a"], [0], {}, TypeError, "both hold class numbers, or both names"),
        ([0, 1], [0, 1], {"class_names": "ab"}, TypeError, "class_names must be a list"),
        ([0, 1], [0, 1], {"normalize": "rows"}, ValueError, "Unknown normalize 'rows'"),
        ([0, 1], [{}, {}], {}, TypeError, "y_pred must hold numbers or strings"),
    ],
)
def test_what_cannot_be_plotted_is_an_error(true, predicted, given, kind, message):
    with pytest.raises(kind, match=message):
        plot(true, predicted, **given)
    assert plt.get_fignums() == []
