"""The kind of input that the first layer of a model needs: floats, integers, or indices of an embedding."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

from torch import nn

from kerastorch.core.module_tree import modules
from kerastorch.core.ownership import is_from, is_own
from kerastorch.core.torch_private import COMPILED_CHILD, ConvBase, NormBase
from kerastorch.functional.functional_model import Functional
from kerastorch.functional.module_view import ModuleView
from kerastorch.layers.base import Layer
from kerastorch.layers.embedding import Embedding
from kerastorch.layers.lambda_ import Lambda

# "floats": integers are cast to floats. "integers": they stay unchanged. "indices": any dtype is cast to int64.
InputKind = Literal["floats", "integers", "indices"]

EMBEDDINGS = (nn.Embedding, nn.EmbeddingBag, Embedding)
_FLOAT_LAYERS = (
    nn.Linear, nn.Bilinear, ConvBase, nn.RNNBase, NormBase, nn.LayerNorm,
    nn.GroupNorm, nn.MultiheadAttention,
)  # fmt: skip


def model_of(parts: Sequence[nn.Module]) -> nn.Module:
    """Return the model whose modules are given, as `module_tree.modules` returns them.

    A view follows the module that it views.
    """
    if len(parts) > 1 and vars(parts[1]).get("module_viewed") is parts[0]:
        return parts[1]
    return parts[0]


def first_input_kind(module: nn.Module) -> InputKind | Literal["passes"] | None:
    """Return the kind of input that the first computing layer of a module needs.

    The module is not called.

    Returns:
        A kind; `"passes"` if none of the layers has weights, so that the module takes any kind; `None` if a `forward`
        of the user decides.
    """
    inner = unwrap_once(module)
    if inner is not module:
        return first_input_kind(inner)
    if isinstance(module, nn.Sequential) or getattr(module, "is_chain", False):
        return _first_kind_in_chain(module) if is_plain_chain(module) else None
    if isinstance(module, EMBEDDINGS):
        return "indices"
    if getattr(module, "takes_integers", False):
        return "integers"
    if isinstance(module, _FLOAT_LAYERS):
        return "floats"
    if any(isinstance(part, (Lambda, *EMBEDDINGS)) or not _is_known(part) for part in modules(module)):
        return None
    if isinstance(module, Layer):
        return "passes" if type(module).build is Layer.build and not module._modules else "floats"
    return "passes" if next(module.parameters(), None) is None else "floats"


def _is_known(part: nn.Module) -> bool:
    """Return whether a module is a layer of kerastorch or of torch."""
    return is_own(part, "layers") or is_from(part, "torch.nn.modules")


def unwrap_once(module: nn.Module) -> nn.Module:
    """Return the module behind a view, a compiled module or a wrapper, or the module itself."""
    viewed = vars(module).get("module_viewed")
    if viewed is not None and type(module).forward in (ModuleView.forward, Functional.forward):
        return viewed  # type: ignore[no-any-return]
    if isinstance(module, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
        return module.module  # type: ignore[no-any-return]
    parts: Any = module._modules  # of a scripted module it is no dict
    return parts[COMPILED_CHILD] if COMPILED_CHILD in parts else module  # noqa: SIM401


def is_plain_chain(chain: nn.Module) -> bool:
    """Return whether a chain has no `forward` of the user, and only calls its children in turn."""
    forward = type(chain).forward
    return is_own(forward, "sequential") or is_from(forward, "torch.nn.modules.container")


def _first_kind_in_chain(chain: nn.Module) -> InputKind | Literal["passes"] | None:
    declared = getattr(vars(chain).get("_input"), "dtype", None)
    if declared is not None and not declared.is_floating_point:
        return "integers"
    for child in chain._modules.values():
        found = "passes" if child is None else first_input_kind(child)
        if found != "passes":
            return "floats" if found is None and declared is not None else found
    return "passes" if declared is None else "floats"


def kind_of_first_weights(parts: Iterable[nn.Module]) -> Literal["floats", "indices"] | None:
    """Return the kind of input of the first module with weights, or `None` if it is unknown.

    A guess for models of which nothing else is known: the first module in the order of creation need not be the first
    one that is called.
    """
    for part in parts:
        if isinstance(part, EMBEDDINGS):
            return "indices"
        if isinstance(part, _FLOAT_LAYERS) or (isinstance(part, Layer) and type(part).build is not Layer.build):
            return "floats"
        if any(weight is not None for weight in part._parameters.values()) and not hasattr(part, "module_viewed"):
            return None
    return None


def declared_input_kinds(model: nn.Module) -> tuple[InputKind, ...] | None:
    """Return the kinds that the `Input`s of a functional model declare; `None` for other models.

    Inputs of embeddings are indices whatever their dtype.
    """
    plan = model._plan if isinstance(model, Functional) else None
    graph: Any = getattr(model, "module_viewed", None)
    if plan is None or graph is None:
        return None
    found: list[InputKind] = []
    begins = [node for node in graph.graph.nodes if node.op == "placeholder"]
    for symbol, node in zip(plan.dtypes, begins, strict=True):
        users = {first_input_kind(graph.get_submodule(user.target)) for user in node.users if user.op == "call_module"}
        if "indices" in users:
            found.append("indices")
        else:
            found.append("integers" if "integers" in users or not symbol.is_floating_point else "floats")
    return tuple(found)
