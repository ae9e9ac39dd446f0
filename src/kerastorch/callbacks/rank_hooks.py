"""What several ranks that train a model together share about their callbacks: which they are, and their logs."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping, Sequence
from typing import Any

from kerastorch.core import collectives
from kerastorch.core.process_group import rank

Call = tuple[Callable[..., None], bool]  # a hook, and whether it runs on every rank


def check_same_callbacks(names: list[str]) -> None:
    """Check that all ranks have the same callbacks with `every_rank`.

    Args:
        names: Names of their classes on this rank.

    Raises:
        RuntimeError: Other ranks have others.
    """
    told = collectives.gather(names)
    if any(others != names for others in told):
        listed = "; ".join(f"rank {number}: {', '.join(others) or 'none'}" for number, others in enumerate(told))
        raise RuntimeError(
            f"the callbacks with every_rank = True differ between the ranks ({listed}). Pass the same callbacks in all "
            "processes; those without every_rank run on rank 0 only."
        )


def end_epoch(calls: Sequence[Call], epoch: int, logs: MutableMapping[str, Any]) -> None:
    """Call the hooks `on_epoch_end`; those on every rank also get the logs that those of rank 0 before them add.

    Args:
        calls: The hooks that this rank calls, in order.
        epoch: Number of the epoch, from 0.
        logs: Means of the epoch.
    """
    shares = collectives.from_first(_share_points(calls) if rank() == 0 else None)
    number = 0
    for hook, is_everywhere in calls:
        if is_everywhere:
            if number in shares:
                logs.update(collectives.from_first(dict(logs)))
            number += 1
        hook(epoch, logs)
    if number in shares:
        logs.update(collectives.from_first(dict(logs)))


def _share_points(calls: Sequence[Call]) -> set[int]:
    """Return before which hooks on every rank, by number, hooks of rank 0 alone are called."""
    found, number = set(), 0
    for _, is_everywhere in calls:
        if is_everywhere:
            number += 1
        else:
            found.add(number)
    return found
