"""GradientSync: the mean of the gradients of all ranks, computed while the backward pass still runs.

`DistributedDataParallel` does this for a model that is called once as a whole. Here a step may call parts of a model,
as in adversarial training, compute the gradients of some weights alone, or sum those of several batches. Therefore the
gradients are collected where autograd writes them. A backward pass that the script itself begins, outside `begin` and
`finish`, ends with the means, as with `DistributedDataParallel`: it may clip them and step any optimizer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, distributed

from kerastorch.core.rank_failures import wait
from kerastorch.core.torch_private import call_after_backward, current_backward

BUCKET_BYTES = 25 * 2**20  # as in DistributedDataParallel: large enough for the bandwidth, small enough to overlap
FIRST_BUCKET_BYTES = 2**20  # the first one of a backward pass is small, so that sending begins early


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
        self._sizes = [*(weight.numel() for weight in weights), len(weights)]
        self._parts: Sequence[Tensor] = ()  # of the flat tensor that was sent
        self._work: Any = None
        self.ready: set[int] = set()  # numbers of the weights whose gradients exist
        self._is_stale = False  # a gradient has changed since it was sent

    @property
    def is_full(self) -> bool:
        """Return whether all gradients exist."""
        return len(self.ready) == len(self.weights)

    def mark(self, index: int) -> None:
        """Record that autograd has written a gradient."""
        if self._work is not None and index in self.ready:
            self._is_stale = True
        self.ready.add(index)

    def send(self, world: int) -> None:
        """Begin to sum the gradients over all ranks; those that are missing here are zero.

        The flat tensor is a new one for each step, because the gradients of the last step may still be in use.
        """
        first = self.weights[0]
        flat = torch.empty(sum(self._sizes), dtype=first.dtype, device=first.device)
        # the last elements count the ranks that have each gradient, below zero for sparse ones
        *parts, present = self._parts = flat.split_with_sizes(self._sizes)
        present.fill_(1.0)
        with torch.no_grad():
            for index, (part, weight) in enumerate(zip(parts, self.weights, strict=True)):
                gradient = weight.grad
                if gradient is None:
                    part.zero_()
                    present[index] = 0.0
                    continue
                if gradient.is_sparse:
                    gradient = gradient.to_dense()
                    present[index] = -1.0
                torch.div(gradient, world, out=part.view(weight.shape))  # before the sum, which float16 might not hold
        self._is_stale = False
        self._work = distributed.all_reduce(flat, async_op=True)

    def receive(self, world: int) -> None:
        """Replace the gradients by the means. A weight that has a gradient on no rank gets none.

        A sparse gradient is sent whole, since the ranks have different rows of it, and stays sparse.
        """
        if self._is_stale:
            self._wait()
            self.send(world)
        self._wait()
        *parts, present = self._parts
        counts: list[Any] = []
        for index, (part, weight) in enumerate(zip(parts, self.weights, strict=True)):
            mean, gradient = part.view(weight.shape), weight.grad
            if gradient is None:
                counts = counts or present.tolist()
                count = counts[index].real
                if count:
                    weight.grad = _like(weight, mean) if count > 0 else mean.to_sparse(1)
            else:
                weight.grad = mean.to_sparse(gradient.sparse_dim()) if gradient.is_sparse else _like(weight, mean)
        self._work = None
        self.reset()

    def reset(self) -> None:
        """Forget the gradients; what was sent is waited for, since the other ranks have sent it, too."""
        if self._work is not None:
            self._wait()
        self._parts, self._work, self._is_stale = (), None, False
        self.ready.clear()

    def _wait(self) -> None:
        wait(self._work, is_on_cpu=self.weights[0].device.type == "cpu")


def _like(weight: Tensor, mean: Tensor) -> Tensor:
    """Return a gradient in the memory format of its weight; a part of the flat tensor if that has it."""
    return mean if weight.is_contiguous() else torch.empty_like(weight, requires_grad=False).copy_(mean)


class GradientSync(NoGradientSync):
    """The mean of the gradients of some weights over all ranks.

    Flat buckets of gradients are summed while the backward pass computes those of earlier layers. All ranks send the
    same buckets in the same order, even if some gradients exist on a part of the ranks only.

    Args:
        weights: Returns the weights. Those that are sharded, or synchronised by others, are left out.
        is_synchronised: Returns whether others synchronise the gradient of a weight.
        beside: What is attached and detached together with it, for weights that the script steps itself.
    """

    def __init__(
        self,
        weights: Callable[[], Iterable[Tensor]],
        is_synchronised: Callable[[Tensor], bool],
        beside: NoGradientSync = NO_SYNC,
    ) -> None:
        self._beside = beside
        self._weights, self._is_synchronised = weights, is_synchronised
        self._world = distributed.get_world_size()
        self._buckets: list[_Bucket] = []
        self._watched: _Identity = [], []  # all weights when those of the buckets were chosen
        self._next = 0  # number of the bucket that is sent next
        self._is_due = True
        self._is_within = False  # between `begin` and `finish`
        self._handles: list[Any] = []
        self._backward = -1  # number of the script's backward pass that ends with the means

    def attach(self) -> None:
        self._watch()
        self._beside.attach()

    def _watch(self) -> None:
        given = list(self._weights())
        watched = _identity(given)
        if self._handles and watched == self._watched:
            return
        self.detach()
        weights = [weight for weight in given if weight.requires_grad and not self._is_synchronised(weight)]
        self._watched, self._buckets = watched, _buckets(weights)
        for bucket in self._buckets:
            for index, weight in enumerate(bucket.weights):
                hook = partial(self._after_gradient, bucket, index)
                self._handles.append(weight.register_post_accumulate_grad_hook(hook))

    def detach(self) -> None:
        self._beside.detach()
        self._reset()
        for handle in self._handles:
            handle.remove()
        self._handles, self._buckets = [], []

    def begin(self, *, is_due: bool) -> None:
        self._reset()
        self._is_due, self._is_within = is_due, True

    def finish(self) -> None:
        is_due, self._is_due, self._is_within = self._is_due, True, False
        if not is_due:
            return
        if _identity(self._weights()) != self._watched:  # some were frozen or unfrozen within the epoch
            self.attach()
        for bucket in self._buckets[self._next :]:
            bucket.send(self._world)
        for bucket in self._buckets:
            bucket.receive(self._world)
        self._next = 0

    def loss_of_all(self, minimized: Tensor, logged: Tensor) -> Tensor:
        total = minimized.clone()
        wait(distributed.all_reduce(total, async_op=True), is_on_cpu=total.device.type == "cpu")
        return total / self._world

    def _after_gradient(self, bucket: _Bucket, index: int, weight: Tensor) -> None:
        if not self._is_within and self._backward != (running := current_backward()):
            self._backward = running
            call_after_backward(self.finish)
        if self._is_due:
            bucket.mark(index)
            while self._next < len(self._buckets) and self._buckets[self._next].is_full:
                self._buckets[self._next].send(self._world)
                self._next += 1

    def _reset(self) -> None:
        for bucket in self._buckets:
            bucket.reset()
        self._next, self._is_due, self._is_within = 0, True, False


_Identity = tuple[list[int], list[bool]]


def _identity(weights: Iterable[Tensor]) -> _Identity:
    """Return what tells whether the weights that are trained are still the same ones."""
    held = list(weights)
    return list(map(id, held)), [weight.requires_grad for weight in held]


def _buckets(weights: Sequence[Tensor]) -> list[_Bucket]:
    """Return buckets of weights, the last ones first, since the backward pass comes to them first."""
    found: list[_Bucket] = []
    running: dict[Any, list[Tensor]] = {}
    for weight in reversed(weights):
        held = running.setdefault((weight.dtype, weight.device), [])
        held.append(weight)
        if sum(one.nbytes for one in held) >= (BUCKET_BYTES if found else FIRST_BUCKET_BYTES):
            found.append(_Bucket(held))
            running[weight.dtype, weight.device] = []
    return [*found, *(_Bucket(held) for held in running.values() if held)]
