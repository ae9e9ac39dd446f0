"""The functions of `keras.backend` that scripts still use."""

from kerastorch.keras.config import backend, epsilon, floatx, image_data_format, set_image_data_format

__all__ = ["backend", "clear_session", "epsilon", "floatx", "image_data_format", "set_image_data_format"]


def clear_session() -> None:
    """Do nothing: there is no global graph. Models are freed when nothing refers to them."""
