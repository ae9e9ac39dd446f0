"""Names of scalars that a model or a criterion returns by name: which of them are losses, and which are only logged."""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Iterable, Mapping
from enum import Enum

from torch import Tensor

from kerastorch.core.name_lookup import snake_case


class NameKind(Enum):
    """What the name of a scalar says."""

    LOSS = "a loss"
    LIKELY = "a function that is used as a loss, and as a metric"
    TOTAL = "the sum of the losses beside it"
    MEASURE = "no loss"
    UNCLEAR = "nothing"


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_LOSS_WORDS = _words("loss losses penalty penalties")
_LIKELY_WORDS = _words(
    "nll kl kld kldiv bce ce crossentropy xent mse mae l1 l2 huber hinge reg regularization commitment"
)
_MEASURE_WORDS = _words(
    "accuracy acc top1 top5 precision recall f1 auc auroc psnr perplexity ppl lr rate count num n epoch step steps "
    "iter iteration iterations temperature temp scale factor weight time seconds"
)
_TOTAL_WORDS = _words("total overall combined sum objective")


@functools.cache
def name_kind(name: str) -> NameKind:
    """Return what the name of a scalar says about it.

    >>> [name_kind(one).name for one in ("loss_box", "klLoss", "total_loss", "mse", "accuracy", "boxes", "loss_scale")]
    ['LOSS', 'LOSS', 'TOTAL', 'LIKELY', 'MEASURE', 'UNCLEAR', 'UNCLEAR']
    """
    words = re.findall(r"[a-z]+\d*", snake_case(name))
    unique = set(words)
    if unique & _TOTAL_WORDS and unique <= _TOTAL_WORDS | _LOSS_WORDS:
        return NameKind.TOTAL
    if words and words[-1] in _LOSS_WORDS:
        return NameKind.LOSS
    if unique & _MEASURE_WORDS:
        return NameKind.UNCLEAR if unique & (_LOSS_WORDS | _LIKELY_WORDS) else NameKind.MEASURE
    if unique & _LOSS_WORDS:
        return NameKind.LOSS
    return NameKind.LIKELY if unique & _LIKELY_WORDS else NameKind.UNCLEAR


def total_name(names: Iterable[str]) -> str | None:
    """Return the only name that says that its scalar is the sum of others; `None` if there is none."""
    found = [name for name in names if name_kind(name) is NameKind.TOTAL]
    return found[0] if len(found) == 1 else None


def summed_names(names: Collection[str], factors: Collection[str] = ()) -> list[str]:
    """Return the names of the scalars that are summed: those with a factor, and those that may be losses.

    Args:
        names: Names of all scalars.
        factors: Names in `loss_weights`.

    >>> summed_names(["loss_a", "kl", "lr"])
    ['loss_a', 'kl']
    """
    total = total_name(names)
    return [name for name in names if name in factors or (name_kind(name) is not NameKind.MEASURE and name != total)]


def check_summed(parts: Mapping[str, Tensor], factors: Collection[str] = (), *, takes_factors: bool = True) -> None:
    """Check the scalars of a first batch that are summed.

    Args:
        parts: All scalars by name.
        factors: Names in `loss_weights`.
        takes_factors: Whether `loss_weights` may have names of scalars, for the message.

    Raises:
        ValueError: A scalar may be no loss: its name does not say so while other names do, or it has no gradient while
            others have one.
    """
    kinds = {name: name_kind(name) for name in summed_names(parts, factors)}
    has_gradients = any(one.requires_grad for one in parts.values())
    for name, kind in kinds.items():
        if name in factors:
            continue
        if kind is NameKind.UNCLEAR and NameKind.LOSS in kinds.values():
            reason = "may be no loss, since its name does not say so"
        elif kind in (NameKind.UNCLEAR, NameKind.LIKELY) and has_gradients and not parts[name].requires_grad:
            reason = "may be no loss, since it has no gradient"
        else:
            continue
        remedy = "Return what is minimized under the name 'loss', beside the values that are logged."
        if takes_factors:
            factor = f"loss='model', loss_weights={{{name!r}: 0}}"
            remedy = (
                f"Write compile(..., {factor}) if it is only logged, 1 instead of 0 if it is added. Or r{remedy[1:]}"
            )
        raise ValueError(
            f"the scalars {', '.join(map(repr, parts))} are added as the loss, and {name!r} {reason}. {remedy}"
        )
