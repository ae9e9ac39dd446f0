"""plot_predictions: each image is shown as it is, under its true and predicted class."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb
from sklearn.datasets import load_digits

import kerastorch as kt

plot = kt.utils.plot_predictions
RANDOM = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def _closed_figures():
    plt.switch_backend("agg")
    yield
    plt.close("all")


def pixels(figure):
    """Return the colors of all images as they are shown, `(n, h, w, 3)`."""
    shown = [axes.images[0] for axes in figure.axes]
    return np.stack([image.to_rgba(image.get_array(), norm=True)[..., :3] for image in shown])


def gray(images):
    return np.repeat(np.asarray(images)[..., None], 3, -1)


def titles(figure):
    return [axes.get_title() for axes in figure.axes]


GRAY = RANDOM.random((5, 6, 4))
COLOR = RANDOM.random((5, 6, 4, 3))
# each layout with the colors that it shows
LAYOUTS = {
    "(n, h, w)": (GRAY, gray(GRAY)),
    "(n, 1, h, w)": (GRAY[:, None], gray(GRAY)),
    "(n, h, w, 1)": (GRAY[..., None], gray(GRAY)),
    "(n, 3, h, w)": (np.moveaxis(COLOR, -1, 1), COLOR),
    "(n, h, w, 3)": (COLOR, COLOR),
    "(n, h * h)": (GRAY[:, :4].reshape(5, 16), gray(GRAY[:, :4])),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    "convert",
    [np.asarray, lambda x: torch.tensor(x, requires_grad=True), lambda x: x.tolist(), lambda x: list(torch.tensor(x))],
    ids=["array", "tensor", "list", "list of tensors"],
)
def test_the_pixels_of_every_layout_are_shown(layout, convert):
    given, expected = LAYOUTS[layout]
    figure = plot(convert(given), [0] * 5)
    np.testing.assert_allclose(pixels(figure), expected, atol=1 / 255)
    assert titles(figure) == ["0"] * 5


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (np.array([[[0, 255], [128, 64]]], dtype=np.uint8), [[[0, 1], [128 / 255, 64 / 255]]]),
        (np.array([[[0, 100], [50, 25]]], dtype=np.uint8), [[[0, 100 / 255], [50 / 255, 25 / 255]]]),
        (np.array([[[0.0, 16.0], [8.0, 4.0]]]), [[[0, 1], [0.5, 0.25]]]),  # the digits of scikit-learn
        (np.array([[[-1.0, 1.0], [0.0, 0.5]]]), [[[0, 1], [0.5, 0.75]]]),
        (np.array([[[0.0, 0.5], [0.25, 0.1]]]), [[[0, 0.5], [0.25, 0.1]]]),  # not stretched
        (np.array([[[0.0, 0.5], [0.25, 0.125]]], dtype=np.float16), [[[0, 0.5], [0.25, 0.125]]]),
        (np.array([[[True, False], [False, True]]]), [[[1, 0], [0, 1]]]),
    ],
    ids=["bytes", "dark bytes", "0 to 16", "-1 to 1", "dark", "half", "bools"],
)
def test_gray_values_of_any_range_are_shown(images, expected):
    np.testing.assert_allclose(pixels(plot(images, [0])), gray(expected), atol=1 / 255)


@pytest.mark.parametrize(
    ("scale", "expected"),
    [
        (lambda x: (x * 255).astype(np.uint8), lambda x: x),
        (lambda x: x * 255, lambda x: x),
        (lambda x: (x * 255).astype(np.int64), lambda x: x),
        (lambda x: x * 0.5, lambda x: x * 0.5),
        (lambda x: (x - 0.5) / 0.2, lambda x: (x - x.min()) / (x.max() - x.min())),
        (lambda x: x > 0.5, lambda x: x > 0.5),
    ],
    ids=["bytes", "floats to 255", "integers", "dark", "standardized", "bools"],
)
def test_colors_of_any_range_are_shown(scale, expected):
    np.testing.assert_allclose(pixels(plot(scale(COLOR), [0] * 5)), expected(COLOR), atol=1.5 / 255)


def test_all_images_have_the_same_scale():
    images = np.stack([np.full((2, 2), 4.0), np.full((2, 2), 16.0)])
    np.testing.assert_allclose(pixels(plot(images, [0, 1], n=1)), 0.25, atol=1 / 255)  # of all, not of the shown ones


def test_wrong_predictions_are_red_and_the_others_are_not():
    figure = plot(GRAY, [0, 1, 2, 3, 4], [0, 1, 3, 3, 0])
    assert titles(figure) == [
        f"true: {true}\npredicted: {predicted}" for true, predicted in zip(range(5), [0, 1, 3, 3, 0], strict=True)
    ]
    for axes, is_right in zip(figure.axes, [True, True, False, True, False], strict=True):
        red, green, blue = to_rgb(axes.title.get_color())
        frame = to_rgb(axes.spines["left"].get_edgecolor())
        assert (red > 0.6 and green < 0.2 and blue < 0.2) == (not is_right)
        assert (frame[0] > 0.6) == (not is_right)
        assert (axes.title.get_fontweight() == "bold") == (not is_right)  # seen without colors, too


def test_classes_have_their_names():
    names = ["ant", "bee", "cat"]
    assert titles(plot(GRAY[:2], [2, 0], [2, 1], names)) == [
        "true: cat\npredicted: cat", "true: ant\npredicted: bee",
    ]  # fmt: skip
    assert titles(plot(GRAY[:2], torch.tensor([[2], [0]]), class_names=names)) == ["cat", "ant"]
    assert titles(plot(GRAY[:2], np.array(["cat", "ant"]), ["cat", "bee"])) == [
        "true: cat\npredicted: cat", "true: ant\npredicted: bee",
    ]  # fmt: skip


def test_predictions_may_be_the_outputs_of_a_model():
    outputs = torch.randn(5, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    classes = outputs.argmax(1).tolist()
    expected = [f"true: 0\npredicted: {one}" for one in classes]
    assert len(set(classes)) > 1
    for predicted in (outputs, torch.softmax(outputs, 1).detach().numpy(), classes):
        assert titles(plot(GRAY, [0] * 5, predicted)) == expected
    assert titles(plot(GRAY[:2], [0, 1], [0.4, 0.6])) == ["true: 0\npredicted: 0", "true: 1\npredicted: 1"]
    assert titles(plot(GRAY, np.eye(5), np.eye(5))) == [f"true: {one}\npredicted: {one}" for one in range(5)]


def test_the_first_n_images_are_in_a_grid():
    images, classes = load_digits(return_X_y=True)
    figure = plot(images, classes)
    assert titles(figure) == [str(one) for one in classes[:25]]
    np.testing.assert_allclose(pixels(figure), gray(images[:25].reshape(-1, 8, 8) / 16), atol=1 / 255)
    grid = figure.axes[0].get_gridspec()
    assert (grid.nrows, grid.ncols) == (5, 5)
    grid = plot(images, classes, n=10, columns=5).axes[0].get_gridspec()
    assert (grid.nrows, grid.ncols) == (2, 5)
    assert len(plot(images[:3], classes[:3]).axes) == 3


def test_long_names_do_not_run_into_their_neighbours():
    names = ["a very long name of a class", "another very long name"]
    figure = plot(GRAY, [0, 1, 0, 1, 0], [1, 1, 1, 1, 1], names)
    figure.canvas.draw()
    boxes = [axes.title.get_window_extent() for axes in figure.axes]
    assert not any(one.overlaps(other) for one in boxes for other in boxes if one is not other)


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ((np.zeros((2, 15)), [0, 1]), ValueError, "images has 15 values a row, which is no square image"),
        ((np.zeros((2, 5, 6, 7)), [0, 1]), ValueError, r"images must have the shape .*; got \(2, 5, 6, 7\)"),
        ((np.zeros(2), [0, 1]), ValueError, r"images must have the shape .*; got \(2,\)"),
        ((np.zeros((2, 4, 4)), [0]), ValueError, "images has 2 rows, y_true has 1"),
        ((np.zeros((2, 4, 4)), [0, 1], [0]), ValueError, "images has 2 rows, y_pred has 1"),
        ((np.zeros((2, 4, 4)), [0, 1], [0, 1], ["a"]), ValueError, "class_names has 1 names, but there are 2"),
        ((np.zeros((2, 4, 4)), [-1, 1], None, ["a", "b"]), ValueError, "there is a class -1"),
        ((np.zeros((2, 4, 4)), [0, 1], ["a", "b"]), TypeError, "both hold class numbers, or both names"),
        ((np.zeros((2, 4, 4)), [0, 1], None, None, 0), ValueError, "n must be an integer >= 1, got 0"),
        (([["a", "b"]], [0]), TypeError, "images must hold numbers"),
    ],
)
def test_what_cannot_be_plotted_is_an_error(arguments, kind, message):
    with pytest.raises(kind, match=message):
        plot(*arguments)
    assert plt.get_fignums() == []


def test_columns_must_be_a_number():
    with pytest.raises(ValueError, match="columns must be an integer >= 1"):
        plot(GRAY, [0] * 5, columns=0)
