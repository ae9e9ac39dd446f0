"""The error for bytes that are not what they should be."""

from __future__ import annotations

from kerastorch.core.errors import CheckpointCorruptError

_LONGEST = 300  # characters of a reason: it may quote what stands in the file


def damaged(name: str, why: str) -> CheckpointCorruptError:
    """`name is damaged, or not what it should be: why.`"""
    why = why if len(why) <= _LONGEST else f"{why[:_LONGEST]}..."
    return CheckpointCorruptError(f"{name} is damaged, or not what it should be: {why}.")
