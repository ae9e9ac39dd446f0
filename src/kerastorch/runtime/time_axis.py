"""Whether a module of torch takes the axis along which data are cut into batches for the axis of time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

from torch import Tensor, nn

from kerastorch.core.nested import leaves, map_structure
from kerastorch.core.ownership import is_own
from kerastorch.core.tensor_spec import TensorSpec, specs_of
from kerastorch.runtime.dry_run import DryRun
from kerastorch.runtime.first_layers import model_of

_SEQUENCE_MODULES = (nn.RNNBase, nn.MultiheadAttention)  # transformers of torch consist of attention
_ROWS = (7, 11, 13, 17, 19, 23, 29, 31, 37, 41)  # of a batch to try: one of them is the size of no other axis


class TimeModule(NamedTuple):
    """A module that takes the axis of rows for that of time.

    Attributes:
        name: Path and class of the module.
        is_unbatched: Whether it gets a single sequence, without an axis of samples.
    """

    name: str
    is_unbatched: bool


def may_take_rows_as_time(parts: Iterable[nn.Module], x: Any = None) -> bool:
    """Return whether a module of torch may take rows for steps: of sequences, or of one sequence without other axes.

    Args:
        parts: The modules of a model.
        x: Inputs of which the first axis is cut into batches; `None` if they are unknown.
    """
    some = [part for part in parts if isinstance(part, _SEQUENCE_MODULES) and not is_own(part, "layers")]
    may_be_unbatched = x is None or any(getattr(leaf, "ndim", 0) == 2 for _, leaf in leaves(x))
    return bool(some) and (may_be_unbatched or not all(part.batch_first for part in some))


def find_module_with_rows_as_time(parts: Sequence[nn.Module], x: Any) -> TimeModule | None:
    """Return the first module of torch to which the rows of a batch are the steps of one sequence; `None` if none is.

    A copy of the model is called on tensors without values. If that is not possible, nothing is found.

    Args:
        parts: The modules of a model.
        x: Inputs of which the first axis is cut into batches.
    """
    specs = specs_of(map_structure(lambda one: one if isinstance(one, Tensor) else one[:1], x))
    dense = [spec for _, spec in leaves(specs) if isinstance(spec, TensorSpec)]
    sizes = {size for spec in dense for size in spec.shape[1:]}
    rows = next((size for size in _ROWS if size not in sizes), None)
    if rows is None or not dense or any(spec.shape[0] is not None for spec in dense):
        return None
    found: list[TimeModule] = []
    try:
        trial = DryRun(model_of(parts), specs, fake=True)
        with ExitStack() as stack:
            for name, module in trial.module.named_modules():
                if may_take_rows_as_time([module], x):
                    hook = module.register_forward_pre_hook(_recorder(name, rows, found), with_kwargs=True)
                    stack.callback(hook.remove)
            trial.run(trial.inputs(rows, rows))
    except Exception:  # the batch itself will raise what is wrong
        pass
    return found[0] if found else None


def _recorder(name: str, rows: int, found: list[TimeModule]) -> Callable[..., None]:
    """Return a hook that adds a module to a list if the first axis of its input has the size of a batch.

    Args:
        name: Path of the module.
        rows: Number of rows of the batch.
        found: The list.
    """

    def record(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        given = next((one for one in (*args, *kwargs.values()) if isinstance(one, Tensor)), None)
        if given is None or given.ndim < 2 or given.shape[0] != rows:
            return
        is_unbatched = given.ndim == 2
        if is_unbatched or (not getattr(module, "batch_first", False) and given.shape[1] != rows):
            kind = type(module).__name__
            found.append(TimeModule(f"{kind} {name!r}" if name else kind, is_unbatched))

    return record
