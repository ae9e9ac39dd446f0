"""`kerastorch.keras.visualization`: pixels of boxes and masks, and figures of galleries."""

import numpy as np
import pytest
import torch

import kerastorch.keras as keras

pytest.importorskip("PIL")
visualization = keras.visualization
IMAGES = np.random.default_rng(0).integers(0, 100, (2, 40, 48, 3)).astype("uint8")
BOXES = {
    "boxes": np.array([[[10, 12, 20, 30], [1, 2, 5, 6]], [[4, 4, 8, 8], [30, 20, 40, 35]]], "float32"),
    "labels": np.array([[0, 1], [1, -1]]),
}
MASKS = np.random.default_rng(1).integers(0, 4, (2, 40, 48, 1))
PALETTE = {number: (number * np.array([2**25 - 1, 2**15 - 1, 2**21 - 1])) % 255 for number in range(4)}


def outline(left, top, right, bottom):
    """Return whether each pixel is on the outline of a box."""
    y, x = np.mgrid[:40, :48]
    inside = (x >= left) & (x <= right) & (y >= top) & (y <= bottom)
    return inside & ((x == left) | (x == right) | (y == top) | (y == bottom))


# --- boxes ------------------------------------------------------------------------------------------------------


def test_outlines_of_boxes_have_the_color_and_other_pixels_are_unchanged():
    before = IMAGES.copy()
    found = visualization.draw_bounding_boxes(IMAGES, BOXES, "xyxy", color=(250, 5, 7), line_thickness=1)
    expected = IMAGES.copy()
    expected[0][outline(10, 12, 20, 30) | outline(1, 2, 5, 6)] = (250, 5, 7)
    expected[1][outline(4, 4, 8, 8)] = (250, 5, 7)  # the label of the other one is -1
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(IMAGES, before)
    assert found.dtype == np.uint8


def test_thick_lines_have_the_edge_of_the_box_in_their_middle():
    one = {"boxes": [[[10, 12, 20, 30]]], "labels": [[0]]}
    found = visualization.draw_bounding_boxes(IMAGES[:1], one, "xyxy", (), (250, 5, 7), line_thickness=3)
    wanted = outline(9, 11, 21, 31) | outline(10, 12, 20, 30) | outline(11, 13, 19, 29)
    np.testing.assert_array_equal((found[0] == (250, 5, 7)).all(-1), wanted)


@pytest.mark.parametrize("form", ["yxyx", "xywh", "center_xywh", "rel_xyxy"])
def test_boxes_are_taken_in_all_formats(form):
    expected = visualization.draw_bounding_boxes(IMAGES, BOXES, "xyxy")
    given = keras.utils.bounding_boxes.convert_format(BOXES["boxes"], "xyxy", form, 40, 48) + 1e-4
    found = visualization.draw_bounding_boxes(IMAGES, BOXES | {"boxes": given}, form)
    np.testing.assert_array_equal(found, expected)


def test_channels_may_be_first_or_one_and_floats_are_shares():
    expected = visualization.draw_bounding_boxes(IMAGES, BOXES, "xyxy")
    tensor = torch.from_numpy(IMAGES).movedim(-1, 1)
    found = visualization.draw_bounding_boxes(tensor, BOXES, "xyxy", data_format="channels_first")
    np.testing.assert_array_equal(np.moveaxis(found, 1, -1), expected)
    keras.config.set_image_data_format("channels_first")
    try:
        np.testing.assert_array_equal(visualization.draw_bounding_boxes(tensor, BOXES, "xyxy"), found)
    finally:
        keras.config.set_image_data_format("channels_last")
    gray = visualization.draw_bounding_boxes(IMAGES[..., :1] / 255.0, BOXES, "xyxy", color=(90, 90, 90))
    assert gray.shape == (2, 40, 48, 1)
    assert gray[0, 12, 10, 0] == 90
    assert abs(int(gray[0, 0, 0, 0]) - int(IMAGES[0, 0, 0, 0])) <= 1


def test_names_and_confidences_are_written_for_classes_that_have_one():
    black = np.zeros((1, 60, 200, 3), "uint8")
    boxes = {"boxes": [[[10, 30, 20, 40], [100, 30, 110, 40]]], "labels": [[0, 1]]}
    plain = visualization.draw_bounding_boxes(black, boxes, "xyxy")
    named = visualization.draw_bounding_boxes(black, boxes, "xyxy", {0: "a cat"})
    sure = visualization.draw_bounding_boxes(black, boxes | {"confidences": [[0.5, 0.5]]}, "xyxy", {0: "a cat"})
    changed, longer = (named != plain).any(-1)[0], (sure != plain).any(-1)[0]
    assert changed[:30].any()
    assert not changed[:, 90:].any()  # nothing at the other box
    assert np.flatnonzero(longer.any(0)).max() > np.flatnonzero(changed.any(0)).max()
    larger = visualization.draw_bounding_boxes(black, boxes, "xyxy", {0: "a cat"}, font_scale=1.5)
    assert (larger != plain).any(-1).sum() > changed.sum()


# --- masks ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alpha", [0.0, 0.25, 0.8, 1.0])
def test_masks_are_means_of_colors_and_images(alpha):
    found = visualization.draw_segmentation_masks(IMAGES, MASKS, 3, alpha=alpha)
    colors = np.stack([PALETTE[number] for number in range(4)])[MASKS[..., 0]]
    expected = (IMAGES.astype("float32") * (1 - alpha) + colors.astype("float32") * alpha).astype("uint8")
    np.testing.assert_allclose(found.astype(int), expected.astype(int), atol=1)  # rounded down, in float32
    np.testing.assert_array_equal(visualization.draw_segmentation_masks(IMAGES, MASKS[..., 0], alpha=alpha), found)
    first = visualization.draw_segmentation_masks(
        np.moveaxis(IMAGES, -1, 1), np.moveaxis(MASKS, -1, 1), alpha=alpha, data_format="channels_first"
    )
    np.testing.assert_array_equal(np.moveaxis(first, 1, -1), found)


def test_some_classes_are_not_drawn():
    colors = {1: (255, 0, 0), 3: (0, 0, 255)}
    found = visualization.draw_segmentation_masks(IMAGES, MASKS, 3, colors, blend=False, ignore_index=3)
    expected = IMAGES.copy()
    expected[MASKS[..., 0] == 1] = (255, 0, 0)
    np.testing.assert_array_equal(found, expected)
    found = visualization.draw_segmentation_masks(IMAGES, MASKS, 2, colors, blend=False)
    np.testing.assert_array_equal(found, expected)  # 3 is above the largest class


# --- galleries --------------------------------------------------------------------------------------------------


@pytest.fixture
def pyplot():
    pyplot = pytest.importorskip("matplotlib.pyplot")
    yield pyplot
    pyplot.close("all")


def pictures(figure):
    return [axes.images[0].get_array() for axes in figure.axes if axes.images]


def test_a_gallery_shows_all_images_with_titles(pyplot):
    names = {0: "cat", 1: "dog"}
    figure = visualization.plot_image_gallery(
        np.concatenate([IMAGES, IMAGES, IMAGES[:1]]) / 255, [0, 1, 0, 1, 7], [1, 1, 1, 0, 0], names, value_range=(0, 1)
    )
    assert len(figure.axes) == 6
    assert len(pictures(figure)) == 5
    assert [axes.get_title() for axes in figure.axes[3:]] == ["Label: dog  Pred: cat", "Label: Unknown  Pred: cat", ""]
    np.testing.assert_allclose(pictures(figure)[1].astype(int), IMAGES[1].astype(int), atol=1)
    assert len(pictures(visualization.plot_image_gallery(IMAGES, rows=1, cols=1))) == 1
    assert len(pictures(visualization.plot_image_gallery(IMAGES, cols=1))) == 2


def test_a_gallery_is_written_to_a_file(pyplot, tmp_path):
    from PIL import Image

    figure = visualization.plot_image_gallery(IMAGES, path=tmp_path / "a.png", dpi=30)
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.size[0] > 50
    assert not pyplot.fignum_exists(figure.number)


def test_a_gallery_of_boxes_has_those_of_both_kinds(pyplot):
    figure = visualization.plot_bounding_box_gallery(
        IMAGES / 255, "xyxy", BOXES, BOXES | {"boxes": BOXES["boxes"] + 2}, (0, 1), line_thickness=1, legend=True
    )
    red, green = (0, 188, 212), (255, 235, 59)
    shown = pictures(figure)
    assert (shown[0][outline(12, 14, 22, 32)] == green).all()
    assert (shown[0][12, 10:20] == red).all()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["true", "predicted"]


def test_a_gallery_of_masks_has_a_row_for_each_image(pyplot):
    figure = visualization.plot_segmentation_mask_gallery(IMAGES, 3, y_true=MASKS, y_pred=MASKS[::-1], alpha=0.5)
    shown = pictures(figure)
    assert len(shown) == 6
    np.testing.assert_array_equal(shown[0], IMAGES[0])
    drawn = visualization.draw_segmentation_masks(IMAGES, MASKS, 3, alpha=0.5)
    np.testing.assert_array_equal(shown[1], drawn[0])
    np.testing.assert_array_equal(shown[4], drawn[1])


def test_wrong_arguments_are_errors(pyplot, tmp_path):
    with pytest.raises(ValueError, match="with four axes"):
        visualization.plot_image_gallery(IMAGES[0])
    with pytest.raises(ValueError, match="not both"):
        visualization.plot_image_gallery(IMAGES, path=tmp_path / "a.png", show=True)
    with pytest.raises(ValueError, match="need label_map"):
        visualization.plot_image_gallery(IMAGES, y_true=[0, 1])
    with pytest.raises(ValueError, match="not both"):
        visualization.plot_bounding_box_gallery(IMAGES, "xyxy", BOXES, legend=True, legend_handles=[1])
    with pytest.raises(ValueError, match="'boxes' and 'labels'"):
        visualization.draw_bounding_boxes(IMAGES, {"boxes": BOXES["boxes"]}, "xyxy")
    with pytest.raises(TypeError, match="must be integers"):
        visualization.draw_segmentation_masks(IMAGES, MASKS.astype("float32"))
    with pytest.raises(ValueError, match="one class a pixel"):
        visualization.draw_segmentation_masks(IMAGES, MASKS[:, :5])
