"""CTC: the loss of sequences of labels whose places in the output are unknown."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from kerastorch.losses.alignment import check_classes, to_class_numbers
from kerastorch.losses.base import Loss


class CTC(Loss):
    """`-log p(y)`, where `p` sums over all alignments of labels with time steps (Graves et al. 2006).

    It is for speech and handwriting: a sequence of labels is known, but not at which steps they occur. Class 0 is the
    blank. A path through the classes spells its labels without repetitions in a row and without blanks. Zeros at the
    end of a row of `y_true` are padding. All time steps of the outputs count; a mask of the outputs is an error.
    Training steps with this loss are not compiled. On a GPU, torch reads the lengths of the labels in each batch.

    Args:
        reduction: As in `Loss`.
        name: As in `Loss`.

    Shape: `y_true` is `(batch, labels)`, class numbers from 1; `y_pred` is `(batch, steps, classes)`, logits.

    >>> CTC()([[1]], [[[0.0, 0.0], [0.0, 0.0]]]).round(4)  # three of four paths: 11, 01, 10
    np.float32(0.2877)
    """

    link = "softmax"
    from_logits = True
    knows_shapes = True
    matches_targets = False

    def align(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        if y_pred.ndim != 3:
            raise ValueError(
                f"{self.name} takes logits of shape (batch, steps, classes), got outputs of {tuple(y_pred.shape)}."
            )
        if y_true.ndim != 2 or len(y_true) != len(y_pred):
            raise ValueError(
                f"{self.name} takes labels of shape (batch, labels), padded with 0 at the end; y has shape "
                f"{tuple(y_true.shape)} beside outputs {tuple(y_pred.shape)}."
            )
        return to_class_numbers(y_true)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        # 16 bits are too few for sums over paths
        logits = y_pred.float() if y_pred.dtype in (torch.float16, torch.bfloat16) else y_pred
        log_p = torch.log_softmax(logits, -1).transpose(0, 1)  # (steps, batch, classes)
        n_steps = torch.full((len(y_pred),), y_pred.shape[1], device=y_true.device)
        return F.ctc_loss(log_p, y_true, n_steps, (y_true != 0).sum(1), blank=0, reduction="none")

    def reduce(self, values: Tensor, sample_weight: Tensor | None) -> Tensor:
        if sample_weight is not None and sample_weight.shape[1:].numel() > 1:
            raise ValueError(
                f"{self.name} counts all time steps: it takes one weight for each sample and no mask, got weights of "
                f"shape {tuple(sample_weight.shape)}. Leave out the layer that makes the mask."
            )
        return super().reduce(values, sample_weight)

    def check(self, y_true: Tensor, y_pred: Tensor) -> None:
        self.align(y_true[: len(y_pred)], y_pred)
        labels = to_class_numbers(y_true)
        check_classes(labels, y_pred.shape[2], None)
        is_label = labels != 0
        follows_padding = is_label[:, 1:] & ~is_label[:, :-1]
        if bool(follows_padding.any()):
            row = int(follows_padding.any(1).to(torch.uint8).argmax())
            raise ValueError(
                f"{self.name}: y[{row}] has a 0 before a label. 0 is the blank and pads the end of a row; number the "
                "labels from 1."
            )
        repeats = (labels[:, 1:] == labels[:, :-1]) & is_label[:, 1:]  # a blank must lie between equal labels
        needed = is_label.sum(1) + repeats.sum(1)
        row = int(needed.argmax())
        if int(needed[row]) > y_pred.shape[1]:
            raise ValueError(
                f"{self.name}: the {int(is_label[row].sum())} labels of y[{row}] need {int(needed[row])} time steps "
                f"(one each, and a blank between equal ones); the model outputs {y_pred.shape[1]}."
            )


def table() -> dict[str, Any]:
    """Return the loss of this file by name."""
    return {"ctc": CTC}
