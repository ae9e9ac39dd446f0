"""Cases of the table of metrics: every class of Keras with its options, and the kind of data that it is for.

`make_metric_values.py` computes the values with Keras and stores them, with the data, in `metric_values.json`.
"""

LOGITS = {"from_logits": True}
PAIR = {"thresholds": [0.3, 0.8]}
EVEN = {"thresholds": [0.0, 0.25, 0.5, 0.75, 1.0]}
UNSORTED = {"thresholds": [0.9, 0.2, 0.4]}
CURVES = [
    {"curve": curve, "summation_method": method}
    for curve in ("ROC", "PR", "PRGAIN")
    for method in ("interpolation", "minoring", "majoring")
]
POINTS = {
    "SensitivityAtSpecificity": "specificity", "SpecificityAtSensitivity": "sensitivity",
    "PrecisionAtRecall": "recall", "RecallAtPrecision": "precision",
}  # fmt: skip
F_OPTIONS = [{}, {"average": "micro"}, {"average": "macro"}, {"average": "weighted"}, {"threshold": 0.4}]
VALUES = (
    "MeanSquaredError", "MeanAbsoluteError", "MeanAbsolutePercentageError", "RootMeanSquaredError", "LogCoshError",
)  # fmt: skip

# class, options, kinds of data
CASES = [
    ("Mean", {}, ["numbers", "matrices"]),
    ("Sum", {}, ["numbers", "matrices"]),
    ("Accuracy", {}, ["ids", "id_rows"]),
    ("BinaryAccuracy", {}, ["binary", "binary_vector", "labels"]),
    ("BinaryAccuracy", {"threshold": 0.7}, ["binary", "labels"]),
    ("BinaryAccuracy", {"threshold": 0.0}, ["binary_logits"]),
    ("CategoricalAccuracy", {}, ["one_hot", "one_hot_steps"]),
    ("SparseCategoricalAccuracy", {}, ["sparse", "sparse_column", "sparse_steps"]),
    ("TopKCategoricalAccuracy", {"k": 1}, ["one_hot"]),
    ("TopKCategoricalAccuracy", {"k": 2}, ["one_hot", "one_hot_steps", "one_hot_ties"]),
    ("SparseTopKCategoricalAccuracy", {"k": 2}, ["sparse", "sparse_steps", "sparse_ties"]),
    ("SparseTopKCategoricalAccuracy", {"k": 2, "from_sorted_ids": True}, ["sorted_ids"]),
    *[
        (name, options, ["binary", "binary_vector", "labels"])
        for name in ("TruePositives", "FalsePositives", "TrueNegatives", "FalseNegatives")
        for options in ({}, {"thresholds": 0.7}, PAIR, EVEN, UNSORTED)
    ],
    *[
        (name, options, ["binary", "binary_vector", "labels", "one_hot"])
        for name in ("Precision", "Recall")
        for options in ({}, {"thresholds": 0.7}, PAIR, EVEN, UNSORTED)
    ],
    *[
        (name, options, ["labels", "one_hot"])
        for name in ("Precision", "Recall")
        for options in (
            {"class_id": 1},
            {"top_k": 2},
            {"top_k": 2, "class_id": 2},
            {"top_k": 1, "thresholds": 0.6},
            {"class_id": 0, "thresholds": [0.3, 0.8]},
        )
    ],
    *[
        (name, {argument: value, **more}, ["binary", "binary_vector", "labels"])
        for name, argument in POINTS.items()
        for value in (0.3, 0.5, 0.9)
        for more in ({}, {"num_thresholds": 1}, {"num_thresholds": 11})
    ],
    *[(name, {argument: 0.4, "class_id": 1}, ["labels", "one_hot"]) for name, argument in POINTS.items()],
    *[("AUC", options, ["binary", "binary_vector", "labels"]) for options in ({}, {"num_thresholds": 5}, *CURVES)],
    *[("AUC", {**options, "thresholds": [0.3, 0.9, 0.5]}, ["binary"]) for options in CURVES],
    *[("AUC", {**options, "multi_label": True}, ["labels"]) for options in CURVES],
    ("AUC", {"multi_label": True, "num_labels": 3, "label_weights": [0.5, 0.2, 0.3]}, ["labels"]),
    ("AUC", {"curve": "PR", "multi_label": True, "label_weights": [0.5, 0.2, 0.3]}, ["labels"]),
    ("AUC", {"label_weights": [0.5, 0.2, 0.3]}, ["labels"]),
    ("AUC", LOGITS, ["binary_logits"]),
    *[("F1Score", options, ["labels", "one_hot"]) for options in F_OPTIONS],
    *[("FBetaScore", {**options, "beta": beta}, ["labels", "one_hot"]) for options in F_OPTIONS for beta in (0.5, 2.0)],
    ("IoU", {"num_classes": 4, "target_class_ids": [0]}, ["ids", "id_rows"]),
    ("IoU", {"num_classes": 4, "target_class_ids": [1, 3]}, ["ids", "id_rows"]),
    ("IoU", {"num_classes": 4, "target_class_ids": [1, 3], "ignore_class": 1}, ["ids"]),
    ("IoU", {"num_classes": 4, "target_class_ids": [1, 2], "sparse_y_pred": False}, ["sparse", "sparse_steps"]),
    ("BinaryIoU", {}, ["binary", "labels"]),
    ("BinaryIoU", {"target_class_ids": [1], "threshold": 0.3}, ["binary", "labels"]),
    ("MeanIoU", {"num_classes": 4}, ["ids", "id_rows"]),
    ("MeanIoU", {"num_classes": 6, "ignore_class": 2}, ["ids", "id_rows"]),
    ("MeanIoU", {"num_classes": 4, "sparse_y_pred": False}, ["sparse"]),
    ("OneHotIoU", {"num_classes": 4, "target_class_ids": [0, 2]}, ["one_hot"]),
    ("OneHotIoU", {"num_classes": 4, "target_class_ids": [0, 2], "sparse_y_pred": True}, ["one_hot_ids"]),
    ("OneHotMeanIoU", {"num_classes": 4}, ["one_hot", "one_hot_steps"]),
    ("OneHotMeanIoU", {"num_classes": 4, "sparse_y_pred": True}, ["one_hot_ids"]),
    *[(name, {}, ["values", "column", "positive"]) for name in VALUES],
    ("MeanSquaredLogarithmicError", {}, ["positive"]),
    ("CosineSimilarity", {}, ["values"]),
    ("CosineSimilarity", {"axis": 1}, ["values", "value_steps"]),
    *[
        ("R2Score", {"class_aggregation": how, "num_regressors": number}, ["values", "column"])
        for how in ("uniform_average", "variance_weighted_average", None)
        for number in (0, 2)
    ],
    ("PearsonCorrelation", {}, ["values", "value_steps"]),
    ("PearsonCorrelation", {"axis": 1}, ["value_steps"]),
    ("ConcordanceCorrelation", {}, ["values", "value_steps"]),
    ("ConcordanceCorrelation", {"axis": 1}, ["value_steps"]),
    ("KLDivergence", {}, ["one_hot", "distributions"]),
    ("Poisson", {}, ["positive"]),
    ("BinaryCrossentropy", {}, ["binary", "labels"]),
    ("BinaryCrossentropy", {"label_smoothing": 0.2}, ["binary", "labels"]),
    ("BinaryCrossentropy", LOGITS, ["binary_logits"]),
    ("CategoricalCrossentropy", {}, ["one_hot", "one_hot_steps", "distributions"]),
    ("CategoricalCrossentropy", {"label_smoothing": 0.2}, ["one_hot"]),
    ("CategoricalCrossentropy", LOGITS, ["one_hot_logits"]),
    ("SparseCategoricalCrossentropy", {}, ["sparse", "sparse_column", "sparse_steps"]),
    ("SparseCategoricalCrossentropy", LOGITS, ["sparse_logits"]),
    ("Hinge", {}, ["signs", "binary_logits"]),
    ("SquaredHinge", {}, ["signs", "binary_logits"]),
    ("CategoricalHinge", {}, ["one_hot", "one_hot_logits"]),
]
