"""Files and arrays as datasets: folders of images, texts and sounds, windows of series; images and sequences as arrays.

The names are those of `keras.preprocessing`. `kerastorch.utils` has all of these functions, too.
"""

from typing import TYPE_CHECKING, NoReturn

from kerastorch.core.absent_names import absent_name
from kerastorch.core.keras_names import PREPROCESSING
from kerastorch.preprocessing import image, sequence
from kerastorch.preprocessing.image_dataset import image_dataset_from_directory
from kerastorch.preprocessing.text_dataset import text_dataset_from_directory
from kerastorch.preprocessing.time_series_dataset import timeseries_dataset_from_array

__all__ = [
    "image",
    "image_dataset_from_directory",
    "sequence",
    "text_dataset_from_directory",
    "timeseries_dataset_from_array",
]


def __dir__() -> list[str]:
    return __all__


if not TYPE_CHECKING:  # type checkers refuse the names themselves

    def __getattr__(name: str) -> NoReturn:
        raise absent_name(__name__, name, __all__, PREPROCESSING)
