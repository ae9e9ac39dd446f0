"""Files of Keras as an attacker would write them: any config, weights and members."""

import io
import json
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest

h5py = pytest.importorskip("h5py")

SUPPORT = Path(__file__).parent.parent / "support"
with zipfile.ZipFile(SUPPORT / "keras_files.zip") as _archive:
    STORED = {name: _archive.read(name) for name in _archive.namelist()}  # that Keras has written


def members(data):
    """The parts of a `.keras` file by name."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(*parts, compression=zipfile.ZIP_STORED):
    """A zip file of parts `(name, bytes)`, of which several may have the same name."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", compression) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that are there twice
        for name, data in parts:
            archive.writestr(zipfile.ZipInfo(name), data, compression)
    return held.getvalue()


def with_config(parts, config):
    """A `.keras` file whose config is another."""
    return zipped(*{**parts, "config.json": json.dumps(config).encode()}.items())


def with_weights(parts, weights):
    """A `.keras` file whose weights are others."""
    return zipped(*{**parts, "model.weights.h5": weights}.items())


def hdf5(write):
    """The bytes of an HDF5 file that a function has written into."""
    held = io.BytesIO()
    with h5py.File(held, "w") as file:
        write(file)
    return held.getvalue()


def rewritten(data, change):
    """The bytes of an HDF5 file after a change."""
    held = io.BytesIO(data)
    with h5py.File(held, "r+") as file:
        change(file)
    return held.getvalue()


def _instead(place, make):
    """A change of weights: something else at a place."""

    def change(file):
        del file[place]
        make(file, place)

    return change


def _virtual(file, place, secret):
    layout = h5py.VirtualLayout((4, 3), "float32")
    layout[...] = h5py.VirtualSource(secret, "x", (4, 3))
    file.create_virtual_dataset(place, layout)


def _elsewhere(file, place, secret):
    file.create_dataset(place, (4, 3), "float32", external=[(secret, 0, 48)])


def _nested(file, place):
    file.create_group(place + "/a" * 200)


def _loop(file, place):
    file[place] = file["layers"]


def weights_of_harm(place, secret):
    """Changes of weights by name: links, arrays that are somewhere else, and shapes without values."""
    huge, texts = (2**31, 2**31), h5py.string_dtype()
    makers = {
        "a soft link": lambda file, at: file.__setitem__(at, h5py.SoftLink("/layers")),
        "an external link": lambda file, at: file.__setitem__(at, h5py.ExternalLink(secret, "/x")),
        "a virtual array": lambda file, at: _virtual(file, at, secret),
        "an array in another file": lambda file, at: _elsewhere(file, at, secret),
        "a loop of groups": _loop,
        "deep groups": _nested,
        "texts": lambda file, at: file.create_dataset(at, data=["a", "b"], dtype=texts),
        "references": lambda file, at: file.create_dataset(at, data=file.ref, dtype=h5py.ref_dtype),
        "records": lambda file, at: file.create_dataset(at, data=np.zeros(3, [("a", "f4"), ("b", "i8")])),
        "no values": lambda file, at: file.create_dataset(at, data=h5py.Empty("f4")),
        "a huge array without values": lambda file, at: file.create_dataset(at, huge, "f4", chunks=(64, 64)),
        "a compressed array of zeros": lambda file, at: file.create_dataset(
            at, data=np.zeros((2**12, 2**12), "f4"), compression="gzip"
        ),
        "another shape": lambda file, at: file.create_dataset(at, data=np.zeros((3, 4), "f4")),
        "a number": lambda file, at: file.create_dataset(at, data=1.0),
    }
    return {name: _instead(place, make) for name, make in makers.items()}
