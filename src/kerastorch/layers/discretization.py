"""Discretization: numbers to the numbers of their bins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kerastorch.core.errors import check_choice, check_float, check_int, mismatch
from kerastorch.core.name_lookup import own_name
from kerastorch.layers.adaptable import AdaptableLayer, input_batches, not_adapted_error, to_numpy
from kerastorch.layers.category_encoding import VECTOR_MODES, check_not_sparse, encode_categories
from kerastorch.layers.quantiles import Quantiles


class Discretization(AdaptableLayer):
    """Bin number of each value: bin `i` is `boundaries[i - 1] <= x < boundaries[i]`.

    Args:
        bin_boundaries: Boundaries between the bins, in ascending order.
        num_bins: Number of bins, instead of `bin_boundaries`; `adapt` finds boundaries such that each bin has about the
            same number of values.
        epsilon: Maximum distance of a boundary from its quantile, as a fraction of the data. Smaller values take more
            memory. Default 0.01.
        output_mode: `"int"` (default) for int64 bin numbers; `"one_hot"`, `"multi_hot"` or `"count"` for vectors as
            from `CategoryEncoding`.
        sparse: Must be `False`: there are no sparse outputs.
        name: Name of the layer. Default none.
        trainable: No effect: the layer has no weights.

    Shape: any, unchanged (`"int"`); else as for `CategoryEncoding`. `bin_boundaries` is a buffer, saved and loaded with
    the model.

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
        self.sparse = check_not_sparse(sparse)
        self._given_boundaries = None if bin_boundaries is None else _check_ascending(bin_boundaries)
        self.register_buffer(
            "bin_boundaries", torch.tensor(self._given_boundaries or (), dtype=torch.get_default_dtype())
        )

    def adapt(self, data: Any, steps: int | None = None) -> None:
        """Replace the boundaries such that each bin has about the same number of values.

        Args:
            data: An array, a tensor, a `DataLoader` or another iterable of batches; of batches `(x, y)` only `x` is
                used.
            steps: Maximum number of batches; `None`, the default, for all.

        Raises:
            ValueError: The layer was made with `bin_boundaries`, or the data have less than two values.
        """
        if self.num_bins is None:
            raise ValueError("Discretization was made with bin_boundaries; adapt finds them for num_bins=.")
        quantiles = Quantiles(self.epsilon)
        for batch in input_batches(data, steps):
            quantiles.add(to_numpy(batch, "Discretization"))
        boundaries = quantiles.boundaries(self.num_bins)
        if not len(boundaries):
            raise ValueError("Discretization.adapt needs more than one number.")
        self.bin_boundaries = torch.from_numpy(np.ascontiguousarray(boundaries)).to(self.bin_boundaries)

    def forward(self, x: Tensor) -> Tensor:
        if not len(self.bin_boundaries):
            raise not_adapted_error(self, "give bin_boundaries=")
        # torch needs one dtype; it is the wider one, since rounding could move a float64 value across a boundary
        dtype = torch.promote_types(x.dtype, self.bin_boundaries.dtype)
        index = torch.bucketize(x.to(dtype), self.bin_boundaries.to(dtype), right=True)
        if self.output_mode == "int":
            return index
        return encode_categories(index, self.output_mode, len(self.bin_boundaries) + 1, self.bin_boundaries.dtype)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments, and the boundaries that `adapt` found."""
        own = {"bin_boundaries": self._given_boundaries, "num_bins": self.num_bins, "epsilon": self.epsilon}
        own |= self._learned_config("bin_boundaries") if self._given_boundaries is None else {}
        modes = {"output_mode": self.output_mode, "sparse": self.sparse}
        return {**own, **modes, "name": own_name(self), "trainable": self.trainable}

    def extra_repr(self) -> str:
        bins = len(self.bin_boundaries) + 1 if len(self.bin_boundaries) else f"{self.num_bins}, not adapted"
        return f"bins={bins}"


def _check_ascending(boundaries: Any) -> list[float]:
    """Return boundaries as a list of finite floats in ascending order, or raise a `ValueError`."""
    try:
        array = np.asarray(boundaries, dtype=np.float64)
    except (TypeError, ValueError):
        raise mismatch("bin_boundaries", boundaries, "a list of numbers") from None
    if array.ndim != 1 or not array.size or not np.isfinite(array).all() or not (np.diff(array) > 0).all():
        raise mismatch("bin_boundaries", boundaries, "finite numbers, each larger than the one before")
    return array.tolist()  # type: ignore[no-any-return]
