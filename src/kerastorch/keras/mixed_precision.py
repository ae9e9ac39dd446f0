"""Mixed precision under Keras' path and names."""

from kerastorch.core.precision_policy import Policy
from kerastorch.mixed_precision import global_policy, set_global_policy
from kerastorch.optimizers import LossScaleOptimizer

DTypePolicy = Policy
dtype_policy = global_policy
set_dtype_policy = set_policy = set_global_policy

__all__ = [
    "DTypePolicy", "LossScaleOptimizer", "Policy", "dtype_policy", "global_policy", "set_dtype_policy",
    "set_global_policy", "set_policy",
]  # fmt: skip
