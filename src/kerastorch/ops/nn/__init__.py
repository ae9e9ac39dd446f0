"""Functions of networks: activations, convolutions, pooling, normalization, attention and losses."""

from kerastorch.ops.nn import activations, attention, convolutions, ctc, encodings, losses, normalization, pooling
from kerastorch.ops.nn.activations import *
from kerastorch.ops.nn.attention import *
from kerastorch.ops.nn.convolutions import *
from kerastorch.ops.nn.ctc import *
from kerastorch.ops.nn.encodings import *
from kerastorch.ops.nn.losses import *
from kerastorch.ops.nn.normalization import *
from kerastorch.ops.nn.pooling import *

__all__: list[str] = []
__all__ += activations.__all__
__all__ += attention.__all__
__all__ += convolutions.__all__
__all__ += ctc.__all__
__all__ += encodings.__all__
__all__ += losses.__all__
__all__ += normalization.__all__
__all__ += pooling.__all__


def __dir__() -> list[str]:
    return sorted(__all__)
