"""A fit that is resumed by another number of ranks than saved it.

Weights, optimizers and the position in the data are those of the whole, and do not depend on the number of ranks. A
rank resumes from the state of the rank with its number. Ranks that are new have the state of rank 0, and other random
numbers. Means, metrics and sums of gradients within an epoch are parts, and begin anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import torch

from kerastorch.core.errors import warn


def for_these_ranks(saved: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    """Return the section `fit` of a loaded checkpoint, without parts of an epoch that other ranks have saved.

    Args:
        saved: Sections of the checkpoint, on this rank.
        where: Path of the checkpoint, for the warning.

    Warns:
        UserWarning: Parts were left out; on rank 0.
    """
    fit: Mapping[str, Any] = saved["fit"]
    ranks = saved.get("ranks")
    if ranks is None or not fit["done"]:
        return fit
    if ranks["rank"] == 0:
        has_sums = any(step["batches"] for step in _steps(fit["update"]))
        sums = " Gradients that were accumulated since the last step are left out." if has_sums else ""
        warn(
            f"{where} was saved by {ranks['saved']} processes and is resumed by {ranks['now']}: the logs of epoch "
            f"{fit['epoch'] + 1} are those of its batches from {fit['done'] + 1} on.{sums}"
        )
    return {**fit, "meter": None, "own_metrics": [], "update": _without_sums(fit["update"])}


def reseed_new_rank(saved: Mapping[str, Any]) -> None:
    """Give a rank that did not exist when a checkpoint was saved random numbers of its own.

    Args:
        saved: Sections of the checkpoint, on this rank; the random states of rank 0 are restored.
    """
    ranks = saved.get("ranks")
    if ranks is None or ranks["rank"] < ranks["saved"]:
        return
    state = hashlib.sha256(torch.get_rng_state().numpy().tobytes() + ranks["rank"].to_bytes(4, "little"))
    torch.manual_seed(int.from_bytes(state.digest()[:7], "little"))


def _steps(update: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the states of the optimizer steps: of the only one, or of each by its name."""
    return [update] if "batches" in update else list(update.values())


def _without_sums(update: Mapping[str, Any]) -> dict[str, Any]:
    """Return the states of the optimizer steps without accumulated gradients."""
    if "batches" in update:
        return {**update, "batches": 0, "gradients": []}
    return {name: _without_sums(step) for name, step in update.items()}
