"""Export of models as programs: `.pt2` and `.onnx` files, verified against the model before they are written."""

from typing import TYPE_CHECKING, NoReturn

from kerastorch.core.absent_names import absent_name
from kerastorch.core.keras_names import EXPORT

__all__: list[str] = []


if not TYPE_CHECKING:  # type checkers refuse the names themselves

    def __getattr__(name: str) -> NoReturn:
        raise absent_name(__name__, name, __all__, EXPORT)
