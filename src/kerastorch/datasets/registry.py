"""The files of the datasets: where each is downloaded from, and which hash it must have.

Addresses, SHA-256 and MD5 values are those of Keras 3 (github.com/keras-team/keras, `keras/src/datasets/*.py`). Sizes
are those that Keras and torchvision print when they download the files.
"""

from __future__ import annotations

from dataclasses import dataclass

_KERAS = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
_TORONTO = "https://www.cs.toronto.edu/~kriz/"


@dataclass(frozen=True)
class RemoteFile:
    """A file that can be downloaded.

    Attributes:
        url: Address of the file.
        known_hash: Algorithm and hexadecimal digest, as `"sha256:731c..."`.
        size: Number of bytes, for the progress bar.
        keras_names: Other names of the same file in the cache of Keras.
    """

    url: str
    known_hash: str
    size: int
    keras_names: tuple[str, ...] = ()

    @property
    def algorithm(self) -> str:
        """Name of the hash algorithm in `hashlib`."""
        return self.known_hash.partition(":")[0]

    @property
    def digest(self) -> str:
        """Hexadecimal digest without the name of the algorithm."""
        return self.known_hash.partition(":")[2]


def _fashion(name: str, sha256: str, size: int) -> RemoteFile:
    return RemoteFile(f"{_KERAS}{name}", f"sha256:{sha256}", size)


FILES = {
    "mnist.npz": RemoteFile(
        f"{_KERAS}mnist.npz", "sha256:731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1", 11_490_434
    ),
    # github.com/Britefury/batchup (batchup/datasets/fashion_mnist.py) and github.com/FluxML/Flux.jl
    # (src/data/fashion-mnist.jl) publish the same four values as Keras.
    "train-images-idx3-ubyte.gz": _fashion(
        "train-images-idx3-ubyte.gz", "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84", 26_421_880
    ),
    "train-labels-idx1-ubyte.gz": _fashion(
        "train-labels-idx1-ubyte.gz", "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845", 29_515
    ),
    "t10k-images-idx3-ubyte.gz": _fashion(
        "t10k-images-idx3-ubyte.gz", "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073", 4_422_102
    ),
    "t10k-labels-idx1-ubyte.gz": _fashion(
        "t10k-labels-idx1-ubyte.gz", "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5", 5_148
    ),
    "cifar-10-python.tar.gz": RemoteFile(
        f"{_TORONTO}cifar-10-python.tar.gz",
        "sha256:6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
        170_498_071,
        keras_names=(
            "cifar-10-batches-py_archive",
            "cifar-10-batches-py-target_archive",
            "cifar-10-batches-py.tar.gz",
        ),
    ),
    "cifar-100-python.tar.gz": RemoteFile(
        f"{_TORONTO}cifar-100-python.tar.gz",
        "sha256:85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
        169_001_437,
        keras_names=("cifar-100-python-target_archive",),
    ),
    "imdb.npz": RemoteFile(
        f"{_KERAS}imdb.npz", "sha256:69664113be75683a8fe16e3ed0ab59fda8886cb3cd7ada244f7d9544e4676b9f", 17_464_789
    ),
    "reuters.npz": RemoteFile(
        f"{_KERAS}reuters.npz", "sha256:d6586e694ee56d7a4e65172e12b3e987c03096cb01eab99753921ef915959916", 2_110_848
    ),
    # No SHA-256 of the two word indices is published, only the MD5 that Keras checks. MD5 finds a damaged file, but not
    # one that was forged with effort; the files are JSON, which executes nothing.
    "imdb_word_index.json": RemoteFile(
        f"{_KERAS}imdb_word_index.json", "md5:bfafd718b763782e994055a2d397834f", 1_641_221
    ),
    "reuters_word_index.json": RemoteFile(
        f"{_KERAS}reuters_word_index.json", "md5:4d44cc38712099c9e383dc6e5f11a921", 550_378
    ),
    "california_housing.npz": RemoteFile(
        f"{_KERAS}california_housing.npz",
        "sha256:1a2e3a52e0398de6463aebe6f4a8da34fb21fbb6b934cf88c3425e766f2a1a6f",
        743_530,
    ),
    "boston_housing.npz": RemoteFile(
        f"{_KERAS}boston_housing.npz",
        "sha256:f553886a1f8d56431e820c5b82552d9d95cfcb96d1e678153f8839538947dff5",
        57_026,
    ),
}
