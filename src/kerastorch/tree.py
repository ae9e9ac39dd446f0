"""Walking a module's tree where a `Model` may be a view of another module."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn


def named_modules(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """As `module.named_modules()`, and before each view, under the same name, the module it is a view of."""
    for name, child in module.named_modules():
        viewed = getattr(child, "module_viewed", None)
        if isinstance(viewed, nn.Module):
            yield name, viewed
        yield name, child


def modules(module: nn.Module) -> Iterator[nn.Module]:
    """The same without names."""
    for _, child in named_modules(module):
        yield child
