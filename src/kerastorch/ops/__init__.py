"""Keras' functions on torch tensors: `keras.ops`, with its names, arguments, broadcasting and dtypes.

They take tensors, NumPy arrays, numbers, nested lists, and symbolic tensors of functional models. Data with channels
have them last by default, as in Keras.
"""

from typing import TYPE_CHECKING, NoReturn

from kerastorch.core.absent_names import absent_name
from kerastorch.ops import axes_pattern, core, image, linalg, math, nn, numpy, signal
from kerastorch.ops.axes_pattern import *
from kerastorch.ops.core import *
from kerastorch.ops.linalg import *
from kerastorch.ops.math import *
from kerastorch.ops.nn import *
from kerastorch.ops.numpy import *
from kerastorch.ops.signal import *

__all__: list[str] = ["image", "linalg", "nn", "numpy"]
__all__ += axes_pattern.__all__
__all__ += core.__all__
__all__ += linalg.__all__
__all__ += [name for name in math.__all__ if name not in linalg.__all__]
__all__ += nn.__all__
__all__ += numpy.__all__
__all__ += signal.__all__


def __dir__() -> list[str]:
    return sorted(__all__)


if not TYPE_CHECKING:  # type checkers refuse the names themselves

    def __getattr__(name: str) -> NoReturn:
        raise absent_name(__name__, name, __all__)
