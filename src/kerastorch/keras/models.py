"""`Model`, `Sequential` and `load_model` under Keras' path."""

from kerastorch.model import Model
from kerastorch.saving.load import load_model
from kerastorch.sequential import Sequential

__all__ = ["Model", "Sequential", "load_model"]
