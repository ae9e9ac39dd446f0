"""Scaling the losses of a rank's part of a batch, so that their mean over the ranks is the loss of the batch.

The mean over the ranks weighs each rank by its rows. Sums, and means with other weights, are scaled for it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, distributed

from kerastorch.core.rank_failures import wait
from kerastorch.data.rank_shard import Share
from kerastorch.losses.base import Loss
from kerastorch.training.step_output import GlobalWeights, LossOutput


class RankWeights:
    """Weights of this rank's part of a batch in losses that are no means over rows.

    Args:
        share: Rows of this rank and of the whole batch.
    """

    def __init__(self, share: Share) -> None:
        self._share = share

    def scale_sum(self, value: Tensor) -> Tensor:
        """Return the sum over the rows of this rank, scaled so that the mean over all rows is the sum over them."""
        return value if self._share.is_idle else value * (self._share.total / self._share.rows)

    def scale_means(self, values: Sequence[Tensor], counts: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Return weighted means, scaled so that their mean over rows is that over the weights of all ranks.

        Args:
            values: Means over the rows of this rank.
            counts: Sum of the weights in each of them.

        Returns:
            The values, and their weights in a mean over batches.
        """
        rows, total = self._share
        own = torch.stack([count.detach().to(torch.float64) for count in counts]) * (rows > 0)
        everywhere = own.clone()
        wait(distributed.all_reduce(everywhere, async_op=True), is_on_cpu=everywhere.device.type == "cpu")
        if rows == 0:
            return list(values), list(own)
        mean = (everywhere / total).where(everywhere > 0, 1.0)
        ratios = (own / rows / mean).to(values[0].dtype)
        scaled = [torch.where(ratio > 0, value * ratio, 0.0) for value, ratio in zip(values, ratios, strict=True)]
        return scaled, list(everywhere * (rows / total))


def scale_losses(
    losses: Sequence[Loss],
    values: Sequence[Tensor],
    counts: Sequence[int | Tensor | None],
    global_weights: GlobalWeights | None,
) -> tuple[Sequence[Tensor], Sequence[int | Tensor | None]]:
    """Return the losses of a part of a batch, scaled, and their weights.

    Args:
        losses: Losses, by output.
        values: Their values.
        counts: Their weights in a mean over batches; `None` and integers are numbers of rows.
        global_weights: Scales sums, and means whose weights are not numbers of rows; `None` for a whole batch.
    """
    if global_weights is None:
        return values, counts
    found, weights = list(values), list(counts)
    for index, loss in enumerate(losses):
        if loss.reduction == "sum":
            found[index] = global_weights.scale_sum(values[index])
    weighted = {index: count for index, count in enumerate(counts) if isinstance(count, Tensor)}
    if weighted:
        means = global_weights.scale_means([found[index] for index in weighted], list(weighted.values()))
        for index, value, weight in zip(weighted, *means, strict=True):
            found[index], weights[index] = value, weight
    return found, weights


def scale_whole(output: LossOutput, global_weights: GlobalWeights | None) -> LossOutput:
    """Return the loss of all outputs of a part of a batch, scaled if it is a weighted mean."""
    if global_weights is None or not isinstance(output.weight, Tensor):
        return output
    (total,), (weight,) = global_weights.scale_means([output.total], [output.weight])
    return output._replace(total=total, weight=weight)
