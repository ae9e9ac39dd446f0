"""Functions of images; channels are last by default, as in Keras."""

from kerastorch.ops.image import colors, coordinates, filters, patches, sizes, warps
from kerastorch.ops.image.colors import *
from kerastorch.ops.image.coordinates import *
from kerastorch.ops.image.filters import *
from kerastorch.ops.image.patches import *
from kerastorch.ops.image.sizes import *
from kerastorch.ops.image.warps import *

__all__: list[str] = []
__all__ += colors.__all__
__all__ += coordinates.__all__
__all__ += filters.__all__
__all__ += patches.__all__
__all__ += sizes.__all__
__all__ += warps.__all__


def __dir__() -> list[str]:
    return sorted(__all__)
