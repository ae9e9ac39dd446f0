"""Whatever the user has -> batches of (x, y, sample_weight); splits; the order of an epoch."""

from kerastorch.data.shuffle import permutation

__all__ = ["permutation"]
