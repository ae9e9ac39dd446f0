"""Conversion of tensors, control flow, and writing into tensors."""

from kerastorch.ops.core import control_flow, scans, tensors, updates
from kerastorch.ops.core.control_flow import *
from kerastorch.ops.core.scans import *
from kerastorch.ops.core.tensors import *
from kerastorch.ops.core.updates import *

__all__: list[str] = []
__all__ += control_flow.__all__
__all__ += scans.__all__
__all__ += tensors.__all__
__all__ += updates.__all__


def __dir__() -> list[str]:
    return sorted(__all__)
