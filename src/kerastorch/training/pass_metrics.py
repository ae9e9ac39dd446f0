"""The metrics of one pass over data, made from those of `compile`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from torch import nn

from kerastorch.core.channel_tracking import known_channel_axes
from kerastorch.metrics.metric_spec import MetricSpec
from kerastorch.training.compiled_loss import CompiledLoss
from kerastorch.training.fused_activation import final_activations
from kerastorch.training.metrics_tracker import MetricsTracker
from kerastorch.training.scores import Scores


def make_tracker(
    model: nn.Module,
    metrics: Mapping[str, list[MetricSpec]],
    compiled_loss: CompiledLoss,
    own: Sequence[Any] | None = None,
) -> MetricsTracker:
    """Return a tracker with fresh accumulators.

    Args:
        model: The model.
        metrics: Output name -> metrics.
        compiled_loss: Losses of all outputs, from which tasks are inferred.
        own: Metric objects that the model holds, if the tracker gets a part of the rows and is merged with the trackers
            of the other parts. Default: it gets all rows.
    """
    is_part = own is not None
    if not metrics:
        return MetricsTracker({}, own or ())
    ends_in = final_activations(model)
    return MetricsTracker(
        {
            name: Scores(
                some,
                partial(compiled_loss.metric_inputs.loss_of, name),
                ends_in.get(name),
                partial(_channel_axis, model, name),
                is_part,
            )
            for name, some in metrics.items()
        },
        own or (),
    )


def _channel_axis(model: nn.Module, output: str) -> int | None:
    return known_channel_axes(model).get(output)
