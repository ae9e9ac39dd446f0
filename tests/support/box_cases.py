"""Functions and layers of bounding boxes that are compared with Keras, by `make_box_values.py` and the tests."""

FORMATS = (
    "xyxy", "yxyx", "xywh", "center_xywh", "center_yxhw", "rel_xyxy", "rel_yxyx", "rel_xywh", "rel_center_xywh",
)  # fmt: skip
BOXES = [
    [[2.0, 1.0, 7.0, 5.0], [0.0, 0.0, 12.0, 8.0]],
    [[3.0, 2.0, 4.0, 7.5], [9.0, 6.0, 12.0, 8.0]],
]
LABELS = [[0, 3], [2, 1]]
_OTHERS = [[[1.0, 1.0, 6.0, 6.0]], [[8.0, 0.0, 13.0, 7.0]]]
_ANCHORS = [[2.0, 3.0, 4.0, 9.0], [1.0, 1.0, 11.0, 3.0]]
_DELTAS = [[[0.1, -0.2, 0.3, 0.05], [-0.5, 0.2, 0.0, -0.4]]]

# name -> (function, arguments)
FUNCTIONS = {
    **{
        f"convert_{source}_{target}": (
            "convert_format",
            {"boxes": BOXES, "source": source, "target": target, "height": 8, "width": 12},
        )
        for source in FORMATS
        for target in FORMATS
    },
    "clip": (
        "clip_to_image_size",
        {"bounding_boxes": {"boxes": BOXES, "labels": LABELS}, "height": 5, "width": 9},
    ),
    "crop": ("crop", {"boxes": BOXES, "top": 1, "left": 3, "height": 4, "width": 6}),
    "pad": ("pad", {"boxes": BOXES, "top": 1, "left": 3}),
    "affine": (
        "affine_transform",
        {
            "boxes": BOXES, "angle": [30.0, -70.0], "translate_x": [0.1, 0.2], "translate_y": [-0.1, 0.0],
            "scale": [1.0, 1.5], "shear_x": [10.0, 0.0], "shear_y": [0.0, 20.0], "height": 8, "width": 12,
        },
    ),
    "iou": ("compute_iou", {"boxes1": BOXES, "boxes2": _OTHERS, "bounding_box_format": "xyxy"}),
    "iou_of_one_set": ("compute_iou", {"boxes1": BOXES, "boxes2": _OTHERS[0], "bounding_box_format": "xywh"}),
    "ciou": ("compute_ciou", {"boxes1": BOXES, "boxes2": _OTHERS, "bounding_box_format": "xyxy"}),
    "encode": (
        "encode_box_to_deltas",
        {
            "anchors": _ANCHORS, "boxes": BOXES, "anchor_format": "xywh", "box_format": "xyxy",
            "variance": [0.1, 0.1, 0.2, 0.2],
        },
    ),
    "decode": (
        "decode_deltas_to_boxes",
        {
            "anchors": _ANCHORS, "boxes_delta": _DELTAS, "anchor_format": "xywh", "box_format": "xyxy",
            "encoded_format": "center_xywh", "variance": [0.1, 0.1, 0.2, 0.2],
        },
    ),
}  # fmt: skip

# name -> (layer, arguments, shape of the images)
LAYERS = {
    "resizing": ("Resizing", {"height": 16, "width": 6}, (2, 8, 12, 3)),
    "center_crop": ("CenterCrop", {"height": 4, "width": 6}, (2, 8, 12, 3)),
    "translation": (
        "RandomTranslation",
        {"height_factor": (0.25, 0.25), "width_factor": (-0.5, -0.5)},
        (2, 8, 12, 3),
    ),
    "max_number": ("MaxNumBoundingBoxes", {"max_number": 3}, (2, 8, 12, 3)),
    "max_number_cut": ("MaxNumBoundingBoxes", {"max_number": 1}, (2, 8, 12, 3)),
    "hue": ("RandomHue", {"factor": 0.5}, (2, 8, 12, 3)),
}
