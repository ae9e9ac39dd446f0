"""`keras.visualization`: images with bounding boxes and segmentation masks, and galleries of them by matplotlib."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kerastorch.core.absent_names import absent_name
from kerastorch.core.optional_dependency import require_package
from kerastorch.core.path_checks import parse_path
from kerastorch.keras.image_drawing import Color, draw_bounding_boxes, draw_segmentation_masks, to_channels_last
from kerastorch.ops.core.tensors import convert_to_numpy

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "draw_bounding_boxes", "draw_segmentation_masks", "plot_bounding_box_gallery", "plot_image_gallery",
    "plot_segmentation_mask_gallery",
]  # fmt: skip

_TRUE, _PREDICTED = (0, 188, 212), (255, 235, 59)
_TITLE_HEIGHT = 0.25  # in inches


def plot_image_gallery(
    images: Any,
    y_true: Any = None,
    y_pred: Any = None,
    label_map: Mapping[int, str] | None = None,
    rows: int | None = None,
    cols: int | None = None,
    value_range: tuple[float, float] = (0, 255),
    scale: float = 2,
    path: str | os.PathLike[str] | None = None,
    show: bool | None = None,
    transparent: bool = True,
    dpi: int = 60,
    legend_handles: Sequence[Any] | None = None,
    data_format: str | None = None,
) -> Figure:
    """Plot a batch of images in rows and columns, with true and predicted classes as titles.

    Args:
        images: A batch of images.
        y_true: The class of each image. Default: no titles.
        y_pred: The predicted class of each image. Default: no titles.
        label_map: Names of classes; needed for titles.
        rows: Number of rows. Default: the root of the number of images, rounded up.
        cols: Number of columns. Default: enough for all images.
        value_range: The values of black and white.
        scale: Width of an image, in inches.
        path: File that the gallery is written to. Default: none.
        show: Whether a window with the gallery is opened. Default: only if there is no `path`.
        transparent: Whether the background of the file is transparent.
        dpi: Pixels per inch of the file.
        legend_handles: Patches of matplotlib for a legend. Default: no legend.
        data_format: `"channels_last"` or `"channels_first"`. Default: that of `kerastorch.keras`.

    Returns:
        The figure of matplotlib, which notebooks display.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: Both `path` and `show` are given; classes without `label_map`; images without a batch axis.
    """
    require_package("plot_image_gallery", "matplotlib")
    if path is not None and show:
        raise ValueError("plot_image_gallery writes a file (path=) or opens a window (show=True), not both.")
    titles = _titles(y_true, y_pred, label_map)
    low, high = value_range
    pixels = to_channels_last("images", images, data_format).astype("float64")
    pixels = ((pixels - low) / (high - low) * 255).clip(0, 255).astype("uint8")
    rows = rows or (max(math.ceil(math.sqrt(len(pixels))), 1) if cols is None else math.ceil(len(pixels) / cols))
    cols = cols or max(math.ceil(len(pixels) / rows), 1)
    figure = _panels(pixels, titles, rows, cols, scale)
    if legend_handles is not None:
        figure.legend(handles=list(legend_handles), loc="outside lower center", ncols=len(legend_handles))
    _write_or_show(figure, path, show, transparent, dpi)
    return figure


def plot_bounding_box_gallery(
    images: Any,
    bounding_box_format: str,
    y_true: Mapping[str, Any] | None = None,
    y_pred: Mapping[str, Any] | None = None,
    value_range: tuple[float, float] = (0, 255),
    true_color: Color = _TRUE,
    pred_color: Color = _PREDICTED,
    line_thickness: int = 2,
    font_scale: float = 1.0,
    text_thickness: int | None = None,
    class_mapping: Mapping[int, str] | None = None,
    ground_truth_mapping: Mapping[int, str] | None = None,
    prediction_mapping: Mapping[int, str] | None = None,
    legend: bool = False,
    legend_handles: Sequence[Any] | None = None,
    rows: int | None = None,
    cols: int | None = None,
    data_format: str | None = None,
    *,
    scale: float = 2,
    path: str | os.PathLike[str] | None = None,
    show: bool | None = None,
    transparent: bool = True,
    dpi: int = 60,
) -> Figure:
    """Plot a gallery of images with true and predicted bounding boxes.

    Args:
        images: A batch of images.
        bounding_box_format: As in `draw_bounding_boxes`.
        y_true: True boxes, as in `draw_bounding_boxes`. Default: none.
        y_pred: Predicted boxes. Default: none.
        value_range: The values of black and white.
        true_color: Color of true boxes.
        pred_color: Color of predicted boxes.
        line_thickness: As in `draw_bounding_boxes`.
        font_scale: As in `draw_bounding_boxes`.
        text_thickness: As in `draw_bounding_boxes`. Default: that of the lines.
        class_mapping: Names of classes, for both kinds of boxes.
        ground_truth_mapping: Names of classes of true boxes. Default: `class_mapping`.
        prediction_mapping: Names of classes of predicted boxes. Default: `class_mapping`.
        legend: Whether a legend explains the two colors.
        legend_handles: Patches of another legend.
        rows: As in `plot_image_gallery`.
        cols: As in `plot_image_gallery`.
        data_format: As in `plot_image_gallery`.
        scale: As in `plot_image_gallery`.
        path: As in `plot_image_gallery`.
        show: As in `plot_image_gallery`.
        transparent: As in `plot_image_gallery`.
        dpi: As in `plot_image_gallery`.
    """
    require_package("plot_bounding_box_gallery", "matplotlib")
    if legend and legend_handles:
        raise ValueError("plot_bounding_box_gallery takes legend=True or legend_handles=, not both.")
    low, high = value_range
    pixels = (to_channels_last("images", images, data_format).astype("float64") - low) / (high - low) * 255
    drawn = pixels.clip(0, 255).astype("uint8")
    for boxes, color, names in (
        (y_true, true_color, ground_truth_mapping or class_mapping),
        (y_pred, pred_color, prediction_mapping or class_mapping),
    ):
        if boxes is not None:
            drawn = draw_bounding_boxes(
                drawn,
                boxes,
                bounding_box_format,
                names,
                color,
                line_thickness,
                text_thickness,
                font_scale,
                "channels_last",
            )
    if legend:
        from matplotlib.patches import Patch

        named = (("true", true_color), ("predicted", pred_color))
        legend_handles = [Patch(color=f"#{bytes(color).hex()}", label=label) for label, color in named]
    return plot_image_gallery(
        drawn, rows=rows, cols=cols, scale=scale, path=path, show=show, transparent=transparent, dpi=dpi,
        legend_handles=legend_handles, data_format="channels_last",
    )  # fmt: skip


def plot_segmentation_mask_gallery(
    images: Any,
    num_classes: int,
    value_range: tuple[float, float] = (0, 255),
    y_true: Any = None,
    y_pred: Any = None,
    color_mapping: Mapping[int, Color] | None = None,
    blend: bool = True,
    alpha: float = 0.8,
    ignore_index: int = -1,
    data_format: str | None = None,
    *,
    scale: float = 2,
    path: str | os.PathLike[str] | None = None,
    show: bool | None = None,
    transparent: bool = True,
    dpi: int = 60,
) -> Figure:
    """Plot a row for each image: the image, and with the true and the predicted classes of its pixels.

    Args:
        images: A batch of images.
        num_classes: As in `draw_segmentation_masks`.
        value_range: The values of black and white.
        y_true: True classes, as in `draw_segmentation_masks`. Default: no such column.
        y_pred: Predicted classes. Default: no such column.
        color_mapping: As in `draw_segmentation_masks`.
        blend: As in `draw_segmentation_masks`.
        alpha: As in `draw_segmentation_masks`.
        ignore_index: As in `draw_segmentation_masks`.
        data_format: As in `plot_image_gallery`.
        scale: As in `plot_image_gallery`.
        path: As in `plot_image_gallery`.
        show: As in `plot_image_gallery`.
        transparent: As in `plot_image_gallery`.
        dpi: As in `plot_image_gallery`.
    """
    low, high = value_range
    pixels = (to_channels_last("images", images, data_format).astype("float64") - low) / (high - low) * 255
    columns: list[np.ndarray[Any, Any]] = [pixels]
    for given in (y_true, y_pred):
        if given is not None:
            masks = convert_to_numpy(given).astype("int32")
            masks = to_channels_last("masks", masks, data_format) if masks.ndim == 4 else masks
            columns.append(
                draw_segmentation_masks(
                    pixels, masks, num_classes, color_mapping, alpha, blend, ignore_index, "channels_last"
                )
            )
    pictures = np.stack(columns, axis=1).reshape(-1, *pixels.shape[1:])  # image by image
    return plot_image_gallery(
        pictures, rows=len(pixels), cols=len(columns), scale=scale, path=path, show=show, transparent=transparent,
        dpi=dpi, data_format="channels_last",
    )  # fmt: skip


def _titles(y_true: Any, y_pred: Any, label_map: Mapping[int, str] | None) -> list[str]:
    given = [(word, y) for word, y in (("Label", y_true), ("Pred", y_pred)) if y is not None]
    if given and label_map is None:
        raise ValueError("y_true and y_pred need label_map, the names of the classes.")
    names: Mapping[int, str] = label_map or {}
    columns = [
        [f"{word}: {names.get(int(one), 'Unknown')}" for one in convert_to_numpy(y).reshape(-1)] for word, y in given
    ]
    return ["  ".join(parts) for parts in zip(*columns, strict=True)]


def _panels(pixels: np.ndarray[Any, Any], titles: Sequence[str], rows: int, cols: int, scale: float) -> Figure:
    """Return a new figure with as many images as fit into rows and columns."""
    from kerastorch.core.pyplot_figure import new_figure

    height, width = pixels.shape[1:3]
    figure = new_figure(cols * scale, rows * (scale * height / width + (_TITLE_HEIGHT if titles else 0)))
    for at, axes in enumerate(figure.subplots(rows, cols, squeeze=False).ravel()):
        axes.axis("off")
        if at < len(pixels):
            image = pixels[at]
            axes.imshow(image[..., 0] if image.shape[-1] == 1 else image, cmap="gray", vmin=0, vmax=255)
        if at < min(len(titles), len(pixels)):
            axes.set_title(titles[at], fontsize=8)
    return figure


def _write_or_show(
    figure: Figure, path: str | os.PathLike[str] | None, show: bool | None, transparent: bool, dpi: int
) -> None:
    from matplotlib import pyplot

    from kerastorch.core.pyplot_figure import check_suffix

    if path is not None:
        file = parse_path("path", path)
        check_suffix("path", file)
        figure.savefig(file, pad_inches=0.02, bbox_inches="tight", transparent=transparent, dpi=dpi)
        pyplot.close(figure)
    elif show is not False and getattr(figure.canvas, "required_interactive_framework", None):
        pyplot.show()
        pyplot.close(figure)


def __dir__() -> list[str]:
    return sorted(__all__)


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        raise absent_name(__name__, name, __all__)
