"""GradientSync: the mean of the gradients of all ranks, computed while the backward pass still runs.

`DistributedDataParallel` does this for a model that is called once as a whole. Here a step may call parts of a model,
as in adversarial training, compute the gradients of some weights alone, or sum those of several batches. Therefore the
gradients are collected where autograd writes them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, distributed

from kerastorch.core.torch_optimizer_private import run_pre_hook_first
from kerastorch.optimizers.step_hooks import TorchOptimizer, optimizer_parameters

BUCKET_BYTES = 25 * 2**20  # as in DistributedDataParallel: large enough for the bandwidth, small enough to overlap


class NoGradientSync:
    """The gradients of one process alone; nothing is done."""

    def attach(self) -> None:
        """Watch the weights that are trained now."""

    def detach(self) -> None:
        """Watch no weights."""

    def begin(self, *, is_due: bool) -> None:
        """Prepare for a backward pass.

        Args:
            is_due: Whether a step follows; if not, gradients stay those of this rank.
        """

    def finish(self) -> None:
        """Replace the gradients by their means over all ranks, if a step is due."""

    def loss_of_all(self, minimized: Tensor, logged: Tensor) -> Tensor:
        """Return the loss of all ranks, which an optimizer that computes it several times compares.

        Args:
            minimized: Loss whose gradients were computed, scaled by the share of this rank.
            logged: Loss of the rows of this rank.
        """
        return logged


NO_SYNC = NoGradientSync()


class _Bucket:
    """Gradients of some weights, one after the other in a flat tensor, which the ranks sum.

    Args:
        weights: Weights of one dtype and device.
    """

    def __init__(self, weights: Sequence[Tensor]) -> None:
        self.weights = weights
        self._sizes = [weight.numel() for weight in weights]
        self._flat: Tensor | None = None
        self._work: Any = None
        self.ready: set[int] = set()  # numbers of the weights whose gradients exist
        self._is_stale = False  # a gradient has changed since it was sent

    @property
    def is_full(self) -> bool:
        """Return whether all gradients exist."""
        return len(self.ready) == len(self.weights)

    @property
    def is_sent(self) -> bool:
        """Return whether the gradients were sent."""
        return self._work is not None

    def mark(self, index: int) -> None:
        """Record that autograd has written a gradient."""
        if index in self.ready and self.is_sent:
            self._is_stale = True
        self.ready.add(index)

    def send(self, world: int) -> None:
        """Begin to sum the gradients over all ranks; those that are missing here are zero."""
        first = self.weights[0]
        # the last elements count the ranks that have each gradient, below zero for sparse ones
        flat = torch.empty(sum(self._sizes) + len(self.weights), dtype=first.dtype, device=first.device)
        *parts, present = flat.split([*self._sizes, len(self.weights)])
        present.fill_(1.0)
        for index, (part, weight) in enumerate(zip(parts, self.weights, strict=True)):
            if weight.grad is None:
                part.zero_()
                present[index] = 0.0
            else:
                gradient = weight.grad.detach()
                part.copy_(gradient.to_dense().reshape(-1))
                if gradient.is_sparse:
                    present[index] = -1.0
        flat[: -len(self.weights)].div_(world)
        self._flat, self._is_stale = flat, False
        self._work = distributed.all_reduce(flat, async_op=True)

    def receive(self, world: int) -> None:
        """Write the means to the gradients. A weight that has a gradient on no rank gets none.

        A sparse gradient is sent whole, since the ranks have different rows of it, and stays sparse.
        """
        if self._is_stale:
            self._work.wait()
            self.send(world)
        self._work.wait()
        assert self._flat is not None
        *parts, present = self._flat.split([*self._sizes, len(self.weights)])
        missing = [index for index, weight in enumerate(self.weights) if weight.grad is None]
        counts = dict(enumerate(present.tolist())) if missing else {}
        with torch.no_grad():
            for index, (part, weight) in enumerate(zip(parts, self.weights, strict=True)):
                mean = part.view_as(weight)
                if weight.grad is not None and not weight.grad.is_sparse:
                    weight.grad.copy_(mean)
                elif weight.grad is not None:
                    weight.grad = mean.to_sparse(weight.grad.sparse_dim())
                elif counts[index]:
                    weight.grad = mean.clone() if counts[index] > 0 else mean.to_sparse(1)
        self.reset()

    def reset(self) -> None:
        """Forget the gradients; what was sent is waited for, since the other ranks have sent it, too."""
        if self._work is not None:
            self._work.wait()
        self._flat = self._work = None
        self.ready, self._is_stale = set(), False


class GradientSync(NoGradientSync):
    """The mean of the gradients of an optimizer over all ranks.

    Flat buckets of gradients are summed while the backward pass computes those of earlier layers. All ranks send the
    same buckets in the same order, even if some gradients exist on a part of the ranks only.

    Args:
        optimizer: Holds the weights. Weights that are sharded, or synchronised by others, are left out.
        is_synchronised: Returns whether others synchronise the gradient of a weight.
    """

    def __init__(self, optimizer: TorchOptimizer, is_synchronised: Callable[[Tensor], bool]) -> None:
        self._optimizer, self._is_synchronised = optimizer, is_synchronised
        self._world = distributed.get_world_size()
        self._weights: list[Tensor] = []
        self._buckets: list[_Bucket] = []
        self._next = 0  # number of the bucket that is sent next
        self._is_due = True
        self._handles: list[Any] = []

    def attach(self) -> None:
        weights = self._trained()
        if self._handles and _same(weights, self._weights):
            return
        self.detach()
        self._weights, self._buckets = weights, _buckets(weights)
        for bucket in self._buckets:
            for index, weight in enumerate(bucket.weights):
                hook = partial(self._after_gradient, bucket, index)
                self._handles.append(weight.register_post_accumulate_grad_hook(hook))
        # a step of the user's that calls `backward` and `optimizer.step` itself
        handle = self._optimizer.register_step_pre_hook(self._before_step)
        run_pre_hook_first(self._optimizer, handle)
        self._handles.append(handle)

    def detach(self) -> None:
        self._reset()
        for handle in self._handles:
            handle.remove()
        self._handles, self._weights, self._buckets = [], [], []

    def begin(self, *, is_due: bool) -> None:
        self._reset()
        self._is_due = is_due

    def finish(self) -> None:
        if not self._is_due:
            return
        if not _same(weights := self._trained(), self._weights):  # some were frozen or unfrozen within the epoch
            self.attach() if weights else self.detach()
        for bucket in self._buckets[self._next :]:
            bucket.send(self._world)
        for bucket in self._buckets:
            bucket.receive(self._world)
        self._next = 0

    def loss_of_all(self, minimized: Tensor, logged: Tensor) -> Tensor:
        total = minimized.clone()
        distributed.all_reduce(total)
        return total / self._world

    def _trained(self) -> list[Tensor]:
        return [
            weight
            for weight in optimizer_parameters(self._optimizer)
            if weight.requires_grad and not self._is_synchronised(weight)
        ]

    def _after_gradient(self, bucket: _Bucket, index: int, weight: Tensor) -> None:
        if not self._is_due:
            return
        bucket.mark(index)
        while self._next < len(self._buckets) and self._buckets[self._next].is_full:
            self._buckets[self._next].send(self._world)
            self._next += 1

    def _before_step(self, *_: Any) -> None:
        if any(bucket.ready for bucket in self._buckets):
            self._is_due = True
            self.finish()

    def _reset(self) -> None:
        for bucket in self._buckets:
            bucket.reset()
        self._next, self._is_due = 0, True


def _same(first: Sequence[Tensor], second: Sequence[Tensor]) -> bool:
    return len(first) == len(second) and all(one is two for one, two in zip(first, second, strict=True))


def _buckets(weights: Sequence[Tensor]) -> list[_Bucket]:
    """Return buckets of weights, the last ones first, since the backward pass comes to them first."""
    found: list[_Bucket] = []
    running: dict[Any, list[Tensor]] = {}
    for weight in reversed(weights):
        kind = weight.dtype, weight.device
        held = running.setdefault(kind, [])
        if held and sum(one.nbytes for one in held) + weight.nbytes > BUCKET_BYTES:
            found.append(_Bucket(held))
            held = running[kind] = []
        held.append(weight)
    return [*found, *(_Bucket(held) for held in running.values() if held)]
