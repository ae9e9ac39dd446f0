"""Functions of NumPy on tensors, by the names and with the arguments that Keras gives them."""

from kerastorch.ops.numpy import (
    arithmetic,
    creation,
    elementwise,
    nan_reductions,
    products,
    reductions,
    selection,
    shapes,
)
from kerastorch.ops.numpy.arithmetic import *
from kerastorch.ops.numpy.creation import *
from kerastorch.ops.numpy.elementwise import *
from kerastorch.ops.numpy.nan_reductions import *
from kerastorch.ops.numpy.products import *
from kerastorch.ops.numpy.reductions import *
from kerastorch.ops.numpy.selection import *
from kerastorch.ops.numpy.shapes import *

__all__: list[str] = []
__all__ += arithmetic.__all__
__all__ += creation.__all__
__all__ += elementwise.__all__
__all__ += nan_reductions.__all__
__all__ += products.__all__
__all__ += reductions.__all__
__all__ += selection.__all__
__all__ += shapes.__all__


def __dir__() -> list[str]:
    return sorted(__all__)
