"""Datasets by name, with the functions of Keras: each module has a `load_data` that returns NumPy arrays.

Files are downloaded once, checked against a known hash, and kept in the folder that `kerastorch.config.set_cache_dir`
chooses. A local file is read without a network: `load_data(path=pathlib.Path("mnist.npz"))`. Pickles within the files
are read by a reader of arrays, lists and dicts; nothing in a file is executed.
"""

from kerastorch.datasets import (
    boston_housing,
    california_housing,
    cifar10,
    cifar100,
    fashion_mnist,
    imdb,
    mnist,
    reuters,
)

__all__ = [
    "boston_housing",
    "california_housing",
    "cifar10",
    "cifar100",
    "fashion_mnist",
    "imdb",
    "mnist",
    "reuters",
]


def __dir__() -> list[str]:
    return __all__
