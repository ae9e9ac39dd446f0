"""Reading a batch that is a dict: which keys are inputs, which one is the target, and what to write otherwise."""

from __future__ import annotations

from typing import Any, NamedTuple

from kerastorch.core.forward_inputs import ForwardInputs

TARGETS = ("label", "labels", "target", "targets", "mask", "y")


class DictReading(NamedTuple):
    """The keys of a dict batch by their use.

    Attributes:
        inputs: Keys that are passed to `forward` by name.
        target: Key of the target, which may be an input, too; `None` if there is none.
    """

    inputs: tuple[Any, ...]
    target: Any

    def sentence(self) -> str:
        """Return what was read, for a message that is said once."""
        inputs = ", ".join(map(repr, self.inputs))
        return f"a batch is a dict: {self.target!r} is taken as the target, since forward() takes the others, {inputs}."


def read_keys(keys: tuple[Any, ...], forward: ForwardInputs) -> DictReading | None:
    """Return the use of each key, or `None` if some keys are neither inputs of `forward` nor the only target.

    A target is a key such as `'label'` that `forward` does not take. A key such as `'labels'` that it does take is an
    input and the target; only `'mask'` is then an input alone.

    Args:
        keys: The keys of a batch.
        forward: What `forward` takes.
    """
    targets = [key for key in keys if key in TARGETS and not forward.takes(key)]
    inputs = tuple(key for key in keys if key not in targets)
    if not inputs or len(targets) > 1 or not all(map(forward.takes, inputs)):
        return None
    shared = [key for key in inputs if key in TARGETS and key != "mask"]
    target = targets[0] if targets else shared[0] if len(shared) == 1 else None
    return DictReading(inputs, target)


def read_one_input(keys: tuple[Any, ...], forward: ForwardInputs) -> DictReading | None:
    """Return the only input and the target of a dict whose input has another name than the parameter of `forward`.

    `None` if `forward` requires several inputs, or there are other keys than one and names of targets.

    Args:
        keys: The keys of a batch.
        forward: What `forward` takes.

    >>> read_one_input(("image", "mask"), ForwardInputs(("input",), ("input",), 1, False))
    DictReading(inputs=('image',), target='mask')
    """
    inputs = tuple(key for key in keys if key not in TARGETS)
    targets = [key for key in keys if key in TARGETS]
    if len(inputs) != 1 or len(targets) > 1 or len(forward.required) != 1 or any(map(forward.takes, keys)):
        return None
    return DictReading(inputs, targets[0] if targets else None)


def refusal(keys: tuple[Any, ...], forward: ForwardInputs) -> ValueError:
    """Return the error for a dict that cannot be read, with the line to write.

    >>> forward = ForwardInputs(("image",), ("image",), 1, False)
    >>> print(refusal(("image", "mask", "path"), forward))
    a batch is a dict with the keys 'image', 'mask', 'path', and forward() takes 'image': 'path' is neither an input nor
    the target. Write compile(..., prepare_batch=lambda batch: (batch['image'], batch['mask'])).
    """
    targets = [key for key in keys if key in TARGETS and not forward.takes(key)]
    strange = [key for key in keys if key not in targets and not forward.takes(key)]
    if strange:
        verb = "is neither an input nor the target" if len(strange) == 1 else "are neither inputs nor the target"
        reason = f"{', '.join(map(repr, strange))} {verb}"
    elif len(targets) > 1:
        reason = f"{' and '.join(map(repr, targets))} may each be the target"
    else:
        reason = "no key is an input"
    given, taken = ", ".join(map(repr, keys)), ", ".join(map(repr, forward.names)) or "no names"
    return ValueError(
        f"a batch is a dict with the keys {given}, and forward() takes {taken}: {reason}. Write "
        f"compile(..., prepare_batch=lambda batch: {_line(keys, targets, forward)})."
    )


def _line(keys: tuple[Any, ...], targets: list[Any], forward: ForwardInputs) -> str:
    """Return the code of a tuple `(x, y)` that the keys suggest."""
    by_name = [key for key in keys if forward.takes(key)]
    free = [key for key in keys if key not in by_name and key not in targets]
    count = max(len(forward.required), 1)
    inputs = [name if name in by_name else free.pop(0) if free else "..." for name in forward.required] or free[:1]
    inputs += [name for name in by_name if name not in inputs]
    target = (targets or [key for key in free if key not in inputs] or [None])[0]
    shown = ["..." if key == "..." else f"batch[{key!r}]" for key in inputs[: max(count, len(by_name))]]
    x = shown[0] if len(shown) == 1 else f"({', '.join(shown)})"
    return f"({x}, {'...' if target is None else f'batch[{target!r}]'})"
