"""Files of datasets that are forged or damaged: they raise an error, and nothing in them is executed or extracted."""

import io
import os
import pickle
import pickletools
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from support.dataset_files import idx, npz, python2_pickle, ragged, tar

import kerastorch as kt
from kerastorch.datasets import restricted_pickle

PIXELS = np.arange(2 * 3072, dtype=np.uint64).astype(np.uint8).reshape(2, 3072)
BATCH = {"data": PIXELS, "labels": [3, 9], "fine_labels": [3, 9]}
CIFAR10 = [f"data_batch_{number}" for number in range(1, 6)] + ["test_batch"]


class MakesFolder:
    """A thing whose pickle creates a folder when it is read."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def npy_of_pickle(content, length):
    """An `.npy` file of objects with any pickle behind its header."""
    stream = io.BytesIO()
    header = {"descr": "|O", "fortran_order": False, "shape": (length,)}
    np.lib.format.write_array_header_1_0(stream, header)
    return stream.getvalue() + content


def npz_of_pickle(path, content, member="x.npy"):
    """An `.npz` file of newswires whose array of lists is any pickle."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, npy_of_pickle(content, 2))
        stream = io.BytesIO()
        np.save(stream, np.arange(2))
        archive.writestr("y.npy", stream.getvalue())
    return path


def cifar_folder(path, content):
    """A folder of CIFAR-10 whose third batch is any pickle."""
    path.mkdir()
    for name in CIFAR10:
        (path / name).write_bytes(content if name == "data_batch_3" else python2_pickle(BATCH))
    return path


def evils(target):
    """Pickles that create the folder `target` when they are read without care."""
    evil, program = MakesFolder(target), f"import os; os.mkdir({str(target)!r})".encode()
    array = ragged([[1, 2], [3]])
    array[1] = evil
    nested = ragged([[1, 2], [3, evil]])
    return {
        "object": pickle.dumps(evil),
        "object of protocol 0": pickle.dumps(evil, 0),
        "in an array": pickle.dumps(array),
        "in a list of an array": pickle.dumps(nested),
        "in a batch": pickle.dumps({b"data": evil, b"labels": [3, 9]}, 2),
        "beside a batch": pickle.dumps({b"data": PIXELS, b"labels": [3, 9], b"more": evil}, 2),
        "before an array": pickle.dumps((evil, array)),
        "a program": b"cbuiltins\nexec\n(X" + struct.pack("<I", len(program)) + program + b"tR.",
    }


NAMES = sorted(evils("x"))


@pytest.mark.parametrize("name", NAMES)
def test_these_pickles_create_a_folder_if_they_are_read_without_care(tmp_path, name):
    pickle.loads(evils(tmp_path / "target")[name])
    assert (tmp_path / "target").exists()


@pytest.mark.parametrize("name", NAMES)
def test_a_pickle_within_newswires_or_reviews_executes_nothing(tmp_path, name):
    target = tmp_path / "target"
    path = npz_of_pickle(tmp_path / "a.npz", evils(target)[name])
    with pytest.raises(ValueError, match=r"a\.npz is damaged, or does not hold .*which is not executed"):
        kt.datasets.reuters.load_data(path)
    assert not target.exists()
    with zipfile.ZipFile(path, "a") as archive:
        for part in ("train", "test"):
            archive.writestr(f"x_{part}.npy", archive.read("x.npy"))
            archive.writestr(f"y_{part}.npy", archive.read("y.npy"))
    with pytest.raises(ValueError, match="which is not executed"):
        kt.datasets.imdb.load_data(path)
    assert not target.exists()


@pytest.mark.parametrize("name", NAMES)
def test_a_pickle_as_a_batch_of_cifar_executes_nothing(tmp_path, name):
    target = tmp_path / "target"
    folder = cifar_folder(tmp_path / "batches", evils(target)[name])
    with pytest.raises(ValueError, match="which is not executed"):
        kt.datasets.cifar10.load_data(folder)
    archive = tmp_path / "a.tar.gz"
    archive.write_bytes(tar({name: (folder / name).read_bytes() for name in CIFAR10}))
    with pytest.raises(ValueError, match="which is not executed"):
        kt.datasets.cifar10.load_data(archive)
    assert not target.exists()


@pytest.mark.parametrize(
    "load",
    [kt.datasets.mnist.load_data, kt.datasets.boston_housing.load_data],
    ids=["mnist", "boston_housing"],
)
def test_arrays_of_numbers_are_never_unpickled(tmp_path, load):
    target = tmp_path / "target"
    path = npz_of_pickle(tmp_path / "a.npz", pickle.dumps(MakesFolder(target)))
    with zipfile.ZipFile(path, "a") as archive:
        for name in ("x_train", "y_train", "x_test", "y_test"):
            archive.writestr(f"{name}.npy", archive.read("x.npy"))
    with pytest.raises(ValueError, match="Object arrays cannot be loaded"):
        load(path)
    assert not target.exists()


def pickled(*operations):
    """A pickle of protocol 2 from its instructions."""
    content = b"\x80\x02" + b"".join(operations) + b"."
    pickletools.dis(content, out=io.StringIO())  # raises if it is no pickle
    return content


DTYPE = b"cnumpy\ndtype\n"
NDARRAY = b"cnumpy\nndarray\n"
RECONSTRUCT = b"cnumpy.core.multiarray\n_reconstruct\n"
EMPTY = RECONSTRUCT + b"(" + NDARRAY + b"K\x00\x85" + b"U\x01bt" + b"R"


def array_of(dtype, shape, data, order=b"U\x01|"):
    """Instructions for an array with any dtype, shape and bytes."""
    numbers = b"(" + b"".join(b"J" + struct.pack("<i", size) for size in shape) + b"t"
    kind = DTYPE + b"(U" + bytes([len(dtype)]) + dtype + b"K\x00K\x01t" + b"R"
    kind += b"(K\x03" + order + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    return EMPTY + b"(K\x01" + numbers + kind + b"\x89" + b"T" + struct.pack("<i", len(data)) + data + b"tb"


def batch_with(array):
    return pickled(b"}(U\x04data", array, b"U\x06labels](K\x03K\x09eu")


def test_the_instructions_of_these_tests_make_a_batch(tmp_path):
    content = batch_with(array_of(b"u1", (2, 3072), PIXELS.tobytes()))
    assert np.array_equal(pickle.loads(content, encoding="bytes")[b"data"], PIXELS)
    (x_train, _), _ = kt.datasets.cifar10.load_data(cifar_folder(tmp_path / "batches", content))
    assert x_train.shape == (10, 32, 32, 3)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (batch_with(array_of(b"u1", (2, 3072), b"\x00" * 6143)), "do not match its shape"),
        (batch_with(array_of(b"u1", (-2, -3072), PIXELS.tobytes())), r"an array of shape \(-2, -3072\)"),
        (batch_with(array_of(b"O8", (2, 3072), b"\x00" * 8 * 6144)), "an array of dtype 'O8'"),
        (batch_with(array_of(b"V8", (2, 3072), b"\x00" * 8 * 6144)), "an array of dtype 'V8'"),
        (batch_with(array_of(b"u1,O", (2, 3072), PIXELS.tobytes())), "an array of dtype 'u1,O'"),
        (batch_with(array_of(b"u1", (2, 3072), PIXELS.tobytes(), b"U\x01x")), "an array of dtype 'u1'"),
        (batch_with(array_of(b"u2", (2, 3072), 2 * PIXELS.tobytes())), "data_batch_3 has 2 labels, and images of"),
        (batch_with(array_of(b"u1", (1, 3072), PIXELS.tobytes()[:3072])), "data_batch_3 has 2 labels, and images of"),
        (batch_with(EMPTY), "it holds an array without a dtype"),
        (batch_with(NDARRAY + b"K\x05\x85R"), "an array in an unusual way"),
        (batch_with(RECONSTRUCT + b"(" + DTYPE + b"K\x00\x85U\x01btR"), "an array of another class"),
        (batch_with(b"cnumpy.core.multiarray\nscalar\n" + b"(tR"), "numpy.core.multiarray.scalar, which is not"),
        (batch_with(b"cnumpy\nload\n" + b"(tR"), "it calls numpy.load, which is not executed"),
        (pickled(DTYPE, b"}U\x04nameK\x01sb"), "it sets attributes of a function"),
        (pickled(RECONSTRUCT, b"N}U\x05_makeK\x01s\x86b"), "it sets attributes of a function"),
        (pickled(DTYPE, b"K\x01\x85\x81"), "must be a type"),  # an object of what is no class
        (pickled(b"\x82\x05"), "its pickle is damaged"),  # a name from the registry of the process
        (pickled(b"U\x01aQ"), "persistent"),
        (pickled(b"}"), "data_batch_3 has no images and labels"),
        (pickled(b"K\x05"), "data_batch_3 has no images and labels"),
        (python2_pickle({"data": PIXELS, "labels": ["3", "9"]}), "data_batch_3 has no images and labels"),
        (python2_pickle({"data": PIXELS, "labels": [3]}), "has 1 labels"),
        (python2_pickle(BATCH)[:-100], "damaged"),
        (b"", "damaged"),
        (b"\xff" * 50, "damaged"),
    ],
    ids=range(25),
)
def test_a_forged_or_damaged_batch_is_refused(tmp_path, content, words):
    with pytest.raises(ValueError, match=words) as caught:
        kt.datasets.cifar10.load_data(cifar_folder(tmp_path / "batches", content))
    assert str(caught.value).startswith(f"{tmp_path / 'batches'} is damaged, or does not hold the batches ")


def test_a_pickle_that_tried_to_change_the_reader_did_not(tmp_path):
    for content in (pickled(RECONSTRUCT, b"N}U\x05_makeK\x01s\x86b"), pickled(DTYPE, b"}U\x04nameK\x01sb")):
        with pytest.raises(pickle.UnpicklingError):
            restricted_pickle.load(io.BytesIO(content))
    record = restricted_pickle.load(io.BytesIO(pickled(array_of(b"i2", (3,), b"\x01\x00\x02\x00\xff\xff", b"U\x01<"))))
    assert record.to_numpy().tolist() == [1, 2, -1]


def test_a_damaged_batch_never_gives_anything_but_a_value_error(tmp_path):
    whole = python2_pickle(BATCH)
    rng = np.random.default_rng(3)
    folder = cifar_folder(tmp_path / "batches", whole)
    edge = [*range(200), *range(len(whole) - 60, len(whole))]  # the instructions; between them are pixels
    for place in edge:
        content = bytearray(whole)
        content[place] = rng.integers(256)
        (folder / "data_batch_3").write_bytes(content)
        try:
            (x_train, y_train), _ = kt.datasets.cifar10.load_data(folder)
        except ValueError:
            continue
        assert (x_train.shape, y_train.shape) == ((10, 32, 32, 3), (10, 1))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (pickle.dumps(ragged([[1, 2], "text"])), "x holds more than lists of integers"),
        (pickle.dumps(ragged([[1, 2], [2.5]])), "x holds more than lists of integers"),
        (pickle.dumps(ragged([[1, 2], [True]])), "x holds more than lists of integers"),
        (pickle.dumps([[1, 2], [3]]), "x is no array"),
        (pickle.dumps(np.array([[1, 2], [3, 4]], dtype=object)), "no one-dimensional array of objects"),
        (pickle.dumps(np.arange(2)), "no one-dimensional array of objects"),
        (pickle.dumps(ragged([[1], [2], [3]])), "x has 3 rows, y has 2 rows"),
    ],
    ids=range(7),
)
def test_sequences_that_are_no_lists_of_integers_are_refused(tmp_path, content, words):
    with pytest.raises(ValueError, match=words):
        kt.datasets.reuters.load_data(npz_of_pickle(tmp_path / "a.npz", content))


def test_sequences_may_be_arrays_of_integers(tmp_path):
    content = pickle.dumps(ragged([np.array([1, 2], dtype=">i4"), np.array([3])]))
    (x_train, _), _ = kt.datasets.reuters.load_data(
        npz_of_pickle(tmp_path / "a.npz", content), test_split=0, start_char=None, index_from=0, num_words=9
    )
    assert sorted(x_train.tolist()) == [[1, 2], [3]]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (npz(x=np.arange(3)), "it has no array y"),
        (npz(x=np.zeros((3, 8)), y=np.zeros(4)), "x has 3 rows, y has 4 rows"),
        (npz(x=np.zeros((3, 8)), y=np.float64(4)), "len"),
        (npz(x=np.zeros((30, 8)), y=np.zeros(30))[:-40], "not a zip file"),
        (npz(x=np.zeros((30, 8)), y=np.zeros(30)).replace(b"\x00" * 100, b"\x00" * 99 + b"\x01"), "Bad CRC"),
        (b"", "not a zip file"),
        (b"<html>please log in</html>", "not a zip file"),
    ],
    ids=range(7),
)
def test_a_damaged_npz_file_is_named(tmp_path, content, words):
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(ValueError, match=words) as caught:
        kt.datasets.boston_housing.load_data(tmp_path / "a.npz")
    assert str(caught.value).startswith(f"{tmp_path / 'a.npz'} is damaged, or does not hold ")


def test_a_folder_in_the_place_of_an_npz_file_is_named(tmp_path):
    with pytest.raises(ValueError, match="directory"):
        kt.datasets.mnist.load_data(tmp_path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"[1, 2]", "no dict from words to integers"),
        (b'{"a": "b"}', "no dict from words to integers"),
        (b'{"a": 1', "Expecting"),
        (b"\xff\xfe", "decode"),
    ],
)
def test_a_damaged_word_index_is_named(tmp_path, content, words):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(ValueError, match=words) as caught:
        kt.datasets.imdb.get_word_index(tmp_path / "a.json")
    assert str(caught.value).startswith(f"{tmp_path / 'a.json'} is damaged, or does not hold a word index: ")


IMAGES = np.zeros((2, 3, 3), np.uint8)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (idx(IMAGES)[:-5], "EOF|end-of-stream|ended"),
        (idx(IMAGES, packed=False)[:-1], "its header says 2 x 3 x 3 bytes, and 17 follow"),
        (idx(IMAGES, packed=False) + b"x", "its header says 2 x 3 x 3 bytes, and 19 follow"),
        (b"\x00\x00\x09\x01\x00\x00\x00\x00", "it is no IDX file of unsigned bytes"),
        (b"\x00\x00\x08\xff", "it is no IDX file of unsigned bytes"),
        (b"", "it is no IDX file of unsigned bytes"),
        (idx(IMAGES[:1]), "x_train has 1 rows, y_train has 2 rows"),
    ],
    ids=range(7),
)
def test_a_damaged_idx_file_is_refused(tmp_path, content, words):
    for part in ("train", "t10k"):
        (tmp_path / f"{part}-images-idx3-ubyte.gz").write_bytes(content if part == "train" else idx(IMAGES))
        (tmp_path / f"{part}-labels-idx1-ubyte.gz").write_bytes(idx(np.zeros(2)))
    with pytest.raises(ValueError, match=words) as caught:
        kt.datasets.fashion_mnist.load_data(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path} is damaged, or does not hold ")


def member(name, **attributes):
    """A member of a tar archive."""
    info = tarfile.TarInfo(name)
    for key, value in attributes.items():
        setattr(info, key, value)
    return info


@pytest.mark.parametrize("prefix", ["../../", "/", "a/../../"])
def test_nothing_is_written_wherever_the_paths_of_an_archive_point(tmp_path, prefix):
    prefix = prefix if prefix != "/" else f"{tmp_path}/outside/"
    inside = tmp_path / "one" / "two"
    inside.mkdir(parents=True)
    archive = inside / "a.tar.gz"
    archive.write_bytes(tar({f"{prefix}evil": b"x"} | {f"{prefix}{name}": python2_pickle(BATCH) for name in CIFAR10}))
    before = sorted(tmp_path.rglob("*"))
    (x_train, _), _ = kt.datasets.cifar10.load_data(archive)
    assert x_train.shape == (10, 32, 32, 3)
    assert sorted(tmp_path.rglob("*")) == before
    assert not Path(prefix, "evil").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE])
def test_links_and_devices_of_an_archive_are_not_followed(tmp_path, kind):
    (tmp_path / "secret").write_bytes(python2_pickle(BATCH))
    files = {name: python2_pickle(BATCH) for name in CIFAR10[:-1]}
    files[member("test_batch", type=kind, linkname=str(tmp_path / "secret"))] = b""
    (tmp_path / "a.tar").write_bytes(tar(files, packed=False))
    with pytest.raises(ValueError, match="it has no file test_batch"):
        kt.datasets.cifar10.load_data(tmp_path / "a.tar")


def test_an_archive_with_two_files_of_one_name_is_refused(tmp_path):
    files = {name: python2_pickle(BATCH) for name in CIFAR10} | {"other/test_batch": python2_pickle(BATCH)}
    (tmp_path / "a.tar").write_bytes(tar(files, packed=False))
    with pytest.raises(ValueError, match="it has two files test_batch"):
        kt.datasets.cifar10.load_data(tmp_path / "a.tar")


def test_what_is_neither_a_folder_nor_an_archive_is_refused(tmp_path):
    (tmp_path / "a").write_bytes(b"text")
    for load in (kt.datasets.cifar10.load_data, kt.datasets.fashion_mnist.load_data):
        with pytest.raises(ValueError, match="it is no folder, tar archive or zip archive"):
            load(tmp_path / "a")
