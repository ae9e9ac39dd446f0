"""Discretization: numbers to the bins they lie in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kerastorch.core.errors import check_choice, check_float, check_int, mismatch
from kerastorch.layers.adaptable import AdaptableLayer, batches, not_adapted_error, to_array
from kerastorch.layers.category_encoding import VECTOR_MODES, check_dense, encode_categories
from kerastorch.layers.quantiles import Quantiles


class Discretization(AdaptableLayer):
    """The number of the bin that each number lies in; bin `i` is `boundaries[i - 1] <= x < boundaries[i]`.

    Args:
        bin_boundaries: where one bin ends and the next begins, rising.
        num_bins: instead of them: how many bins `adapt` makes, with about as many numbers in each.
        epsilon: how far off its quantile a boundary may be, as a share of the data; smaller takes more memory.
        output_mode: `"int"`: int64 numbers; `"one_hot"`, `"multi_hot"`, `"count"`: as `CategoryEncoding`.
        sparse: must be `False`; there are no sparse outputs.
        name: see `Layer`; so is `trainable`.

    Shape: any, unchanged (`"int"`). `bin_boundaries` is a buffer, saved and loaded with the model.

    >>> Discretization([0.0, 1.0])(torch.tensor([-3.0, 0.0, 0.5, 1.0]))
    tensor([0, 1, 1, 2])
    """

    bin_boundaries: Tensor

    def __init__(
        self,
        bin_boundaries: Sequence[float] | None = None,
        num_bins: int | None = None,
        epsilon: float = 0.01,
        output_mode: str = "int",
        sparse: bool = False,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(name=name, trainable=trainable)
        if (bin_boundaries is None) == (num_bins is None):
            raise ValueError(f"give one of bin_boundaries ({bin_boundaries!r}) and num_bins ({num_bins!r}).")
        self.num_bins = None if num_bins is None else check_int("num_bins", num_bins, 2)
        self.epsilon = check_float("epsilon", epsilon, above=0, below=1)
        self.output_mode = check_choice("output_mode", output_mode, ("int", *VECTOR_MODES))
        self.sparse = check_dense(sparse)
        self._given = None if bin_boundaries is None else _rising(bin_boundaries)
        self.register_buffer("bin_boundaries", torch.tensor(self._given or (), dtype=torch.get_default_dtype()))

    def adapt(self, data: Any, steps: int | None = None) -> None:
        """Find boundaries with about as many numbers between each two; what was found before is forgotten.

        Args:
            data: an array, a tensor, a `DataLoader` or another iterable of batches; of batches `(x, y)`, `x` counts.
            steps: look at no more than this many batches.

        Raises:
            ValueError: `bin_boundaries` were given; no data.
        """
        if self.num_bins is None:
            raise ValueError("Discretization was made with bin_boundaries; adapt finds them for num_bins=.")
        quantiles = Quantiles(self.epsilon)
        for batch in batches(data, steps):
            quantiles.add(to_array(batch, "Discretization"))
        found = quantiles.boundaries(self.num_bins)
        if not len(found):
            raise ValueError("Discretization.adapt needs more than one number.")
        self.bin_boundaries = torch.from_numpy(found).to(self.bin_boundaries)

    def forward(self, x: Tensor) -> Tensor:
        if not len(self.bin_boundaries):
            raise not_adapted_error(self, "give bin_boundaries=")
        # both in the wider dtype: torch wants one, and float64 numbers must not move across a boundary
        dtype = torch.promote_types(x.dtype, self.bin_boundaries.dtype)
        index = torch.bucketize(x.to(dtype), self.bin_boundaries.to(dtype), right=True)
        if self.output_mode == "int":
            return index
        return encode_categories(index, self.output_mode, len(self.bin_boundaries) + 1, self.bin_boundaries.dtype)

    def get_config(self) -> dict[str, Any]:
        own = {"bin_boundaries": self._given, "num_bins": self.num_bins, "epsilon": self.epsilon}
        own |= self._learned("bin_boundaries") if self._given is None else {}
        modes = {"output_mode": self.output_mode, "sparse": self.sparse}
        return {**own, **modes, "name": self.name, "trainable": self.trainable}

    def extra_repr(self) -> str:
        bins = len(self.bin_boundaries) + 1 if len(self.bin_boundaries) else f"{self.num_bins}, not adapted"
        return f"bins={bins}"


def _rising(boundaries: Any) -> list[float]:
    try:
        found = np.asarray(boundaries, dtype=np.float64)
    except (TypeError, ValueError):
        raise mismatch("bin_boundaries", boundaries, "a list of numbers") from None
    if found.ndim != 1 or not found.size or not np.isfinite(found).all() or not (np.diff(found) > 0).all():
        raise mismatch("bin_boundaries", boundaries, "finite numbers, each larger than the one before")
    return found.tolist()  # type: ignore[no-any-return]
