"""Train and eval mode: switched, and put back module by module."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from kerastorch.tree import modules


@contextmanager
def mode(module: nn.Module, training: bool) -> Iterator[None]:
    """`module.train(training)` for a while; afterwards each submodule is in the mode it had."""
    before = [(child, child.training) for child in modules(module)]
    module.train(training)
    try:
        yield
    finally:
        for child, was in before:
            child.training = was
