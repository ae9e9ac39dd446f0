"""CTC: the loss of sequences of labels whose places are unknown, and the decoding of outputs."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from kerastorch.core.errors import check_choice
from kerastorch.ops.conversion import result_type, to_tensor, to_tensors
from kerastorch.ops.core.control_flow import refuse_symbols
from kerastorch.ops.recording import op

__all__ = ["ctc_decode", "ctc_loss"]


@op
def ctc_loss(target: Any, output: Any, target_length: Any, output_length: Any, mask_index: int = 0) -> Tensor:
    """Return `-log p` of each sequence of labels, where `p` sums over all alignments (Graves et al. 2006).

    Args:
        target: Labels, `(batch, labels)`.
        output: Logits, `(batch, steps, classes)`.
        target_length: The number of labels of each sequence, `(batch,)`.
        output_length: The number of steps of each sequence, `(batch,)`.
        mask_index: The class that is the blank.
    """
    output, target, target_length, output_length = to_tensors(output, target, target_length, output_length)
    logs = torch.log_softmax(output.to(result_type(output, torch.float32)), -1).transpose(0, 1)
    return F.ctc_loss(
        logs, target.long(), output_length.long(), target_length.long(), blank=mask_index, reduction="none"
    )


def ctc_decode(
    inputs: Any,
    sequence_lengths: Any,
    strategy: str = "greedy",
    beam_width: int = 100,
    top_paths: int = 1,
    merge_repeated: bool = True,
    mask_index: int = 0,
) -> tuple[Tensor, Tensor]:
    """Return the most probable sequences of labels.

    Args:
        inputs: Logits, `(batch, steps, classes)`.
        sequence_lengths: The number of steps of each sequence, `(batch,)`.
        strategy: `"greedy"` for the labels of the best class of each step; `"beam_search"` for those with the largest
            sum over all alignments, among the best beginnings.
        beam_width: How many beginnings the beam search keeps at each step.
        top_paths: How many sequences the beam search returns.
        merge_repeated: Whether repetitions in a row are one label, for `"greedy"`.
        mask_index: The class that is the blank.

    Returns:
        Labels, `(paths, batch, steps)`, int32, filled with -1; and for `"greedy"` minus the sum of the largest logits,
        `(batch, 1)`, for `"beam_search"` the logarithms of the probabilities, `(batch, paths)`.
    """
    refuse_symbols("ctc_decode", inputs, sequence_lengths)
    inputs = to_tensor(inputs)
    inputs = inputs.to(result_type(inputs, torch.float32))
    lengths = to_tensor(sequence_lengths, torch.int64, inputs.device)
    if check_choice("strategy", strategy, ("greedy", "beam_search")) == "greedy":
        return _greedy(inputs, lengths, merge_repeated, mask_index)
    logs = torch.log_softmax(inputs, -1).cpu().double()
    found = [
        _beam_search(rows[:length].tolist(), beam_width, top_paths, mask_index)
        for rows, length in zip(logs, lengths.tolist(), strict=True)
    ]
    labels = torch.full((top_paths, *inputs.shape[:2]), -1, dtype=torch.int32, device="cpu")
    scores = torch.full((len(found), top_paths), -torch.inf, dtype=inputs.dtype, device="cpu")
    for row, paths in enumerate(found):
        for rank, (path, score) in enumerate(paths):
            labels[rank, row, : len(path)] = torch.tensor(path, dtype=torch.int32, device="cpu")
            scores[row, rank] = score
    return labels.to(inputs.device), scores.to(inputs.device)


def _greedy(inputs: Tensor, lengths: Tensor, merge_repeated: bool, mask_index: int) -> tuple[Tensor, Tensor]:
    n = inputs.shape[1]
    largest, labels = inputs.max(-1)
    ends = torch.arange(n, device=inputs.device) >= lengths[:, None]
    labels = labels.masked_fill(ends, mask_index)
    is_blank = labels == mask_index
    if merge_repeated:
        is_blank = is_blank | F.pad(labels[:, 1:] == labels[:, :-1], (1, 0))
    order = is_blank.to(torch.uint8).argsort(dim=-1, stable=True)  # labels first, in their order
    found = labels.masked_fill(is_blank, -1).gather(-1, order).to(torch.int32)
    return found[None], -largest.masked_fill(ends, 0).sum(1, keepdim=True)


def _beam_search(
    rows: list[list[float]], beam_width: int, top_paths: int, blank: int
) -> list[tuple[tuple[int, ...], float]]:
    """Return the best label sequences and the logarithms of their probabilities (Hannun et al. 2014).

    Args:
        rows: Logarithms of probabilities, a row for each step.
        beam_width: How many sequences are kept after each step.
        top_paths: How many are returned.
        blank: The class of the blank.
    """
    # labels -> log p of the alignments that end in a blank, and of those that end in the last label
    beams: dict[tuple[int, ...], tuple[float, float]] = {(): (0.0, -math.inf)}
    for row in rows:
        found: dict[tuple[int, ...], tuple[float, float]] = {}
        for path, (ends_blank, ends_label) in beams.items():
            both = _log_add(ends_blank, ends_label)
            _raise(found, path, both + row[blank], -math.inf)
            for label, log_p in enumerate(row):
                if label == blank:
                    continue
                repeats = bool(path) and path[-1] == label
                if repeats:
                    _raise(found, path, -math.inf, ends_label + log_p)
                _raise(found, (*path, label), -math.inf, (ends_blank if repeats else both) + log_p)
        best = sorted(found.items(), key=lambda item: _log_add(*item[1]), reverse=True)
        beams = dict(best[:beam_width])
    return [(path, _log_add(*both)) for path, both in list(beams.items())[:top_paths]]


def _raise(
    found: dict[tuple[int, ...], tuple[float, float]], path: tuple[int, ...], blank: float, label: float
) -> None:
    """Add probabilities, given as logarithms, to those of a path."""
    before = found.get(path, (-math.inf, -math.inf))
    found[path] = (_log_add(before[0], blank), _log_add(before[1], label))


def _log_add(a: float, b: float) -> float:
    low, high = sorted((a, b))
    return high if low == -math.inf else high + math.log1p(math.exp(low - high))
