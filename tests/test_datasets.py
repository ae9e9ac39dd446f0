"""Datasets by name: the arrays that `load_data` returns, from a server, from the cache and from local files."""

import inspect
import pathlib
import pickle
import zipfile

import numpy as np
import pytest
from support.dataset_files import dataset_server, idx, npz, python2_pickle, ragged, tar

import kerastorch as kt
from kerastorch.datasets import registry

RNG = np.random.default_rng(5)
IMAGES = RNG.integers(0, 256, (7, 28, 28), dtype=np.uint8)
LABELS = RNG.integers(0, 10, 7, dtype=np.uint8)
MNIST = {"x_train": IMAGES, "y_train": LABELS, "x_test": IMAGES[:3], "y_test": LABELS[:3]}
HOUSES = RNG.normal(size=(50, 8)).astype(np.float32)
PRICES = RNG.uniform(1e5, 5e5, 50).astype(np.float32)
FASHION = {
    "train-images-idx3-ubyte.gz": idx(IMAGES),
    "train-labels-idx1-ubyte.gz": idx(LABELS),
    "t10k-images-idx3-ubyte.gz": idx(IMAGES[:3]),
    "t10k-labels-idx1-ubyte.gz": idx(LABELS[:3]),
}
CIFAR10 = [f"data_batch_{number}" for number in range(1, 6)] + ["test_batch"]
PIXELS = {name: RNG.integers(0, 256, (4, 3072), dtype=np.uint8) for name in (*CIFAR10, "train", "test")}
CLASSES = {name: RNG.integers(0, 10, 4).tolist() for name in PIXELS}


def cifar_batch(name, dump=python2_pickle):
    return dump(
        {
            "batch_label": "training batch 1 of 5",
            "labels": CLASSES[name],
            "fine_labels": [10 * one for one in CLASSES[name]],
            "coarse_labels": [2 * one for one in CLASSES[name]],
            "data": PIXELS[name],
            "filenames": ["a_s_000001.png"] * 4,
        }
    )


def cifar_archive(folder, names):
    return tar({f"{folder}/readme.html": b"x"} | {f"{folder}/{name}": cifar_batch(name) for name in reversed(names)})


def cifar_images(*names):
    """Row-major planes of red, green and blue, with the colours in the last axis."""
    rows = np.concatenate([PIXELS[name] for name in names])
    return np.stack([rows[:, 1024 * plane :][:, :1024].reshape(-1, 32, 32) for plane in range(3)], axis=-1)


def column(*names):
    return np.array([[label] for name in names for label in CLASSES[name]])


def same(found, expected, dtype=None):
    np.testing.assert_array_equal(found, expected)
    assert isinstance(found, np.ndarray)
    assert found.dtype == (expected.dtype if dtype is None else dtype)
    assert found.flags.writeable


@pytest.fixture
def server(monkeypatch, tmp_path):
    with dataset_server(monkeypatch, tmp_path) as running:
        yield running


def test_the_functions_have_the_arguments_of_keras():
    words = "num_words=None, skip_top=0, maxlen=None, {}seed=113, start_char=1, oov_char=2, index_from=3"
    expected = {
        kt.datasets.mnist.load_data: "path='mnist.npz'",
        kt.datasets.fashion_mnist.load_data: "path='fashion-mnist'",
        kt.datasets.cifar10.load_data: "path='cifar-10-python.tar.gz'",
        kt.datasets.cifar100.load_data: "label_mode='fine', path='cifar-100-python.tar.gz'",
        kt.datasets.imdb.load_data: "path='imdb.npz', " + words.format(""),
        kt.datasets.imdb.get_word_index: "path='imdb_word_index.json'",
        kt.datasets.reuters.load_data: "path='reuters.npz', " + words.format("test_split=0.2, "),
        kt.datasets.reuters.get_word_index: "path='reuters_word_index.json'",
        kt.datasets.reuters.get_label_names: "",
        kt.datasets.california_housing.load_data: (
            "version='large', path='california_housing.npz', test_split=0.2, seed=113"
        ),
        kt.datasets.boston_housing.load_data: "path='boston_housing.npz', test_split=0.2, seed=113",
    }
    for function, arguments in expected.items():
        parameters = inspect.signature(function).parameters.values()
        found = ", ".join(str(one.replace(annotation=inspect.Parameter.empty)) for one in parameters)
        assert found == arguments, function


@pytest.mark.parametrize("name", kt.datasets.__all__)
def test_tab_completion_of_a_dataset_shows_its_functions_only(name):
    module = getattr(kt.datasets, name)
    assert dir(module) == module.__all__
    assert all(callable(getattr(module, one)) for one in module.__all__)


def test_every_file_has_a_secure_address_and_a_whole_hash():
    for file in registry.FILES.values():
        assert file.url.startswith("https://")
        assert len(file.digest) == {"sha256": 64, "md5": 32}[file.algorithm]
        assert int(file.digest, 16)
    assert {key for key, file in registry.FILES.items() if file.algorithm == "md5"} == {
        "imdb_word_index.json",
        "reuters_word_index.json",
    }
    assert all(file.url.endswith(f"/{key}") for key, file in registry.FILES.items())


def test_mnist_returns_the_four_arrays(server):
    server.offer("mnist.npz", npz(**MNIST))
    (x_train, y_train), (x_test, y_test) = kt.datasets.mnist.load_data()
    for found, name in ((x_train, "x_train"), (y_train, "y_train"), (x_test, "x_test"), (y_test, "y_test")):
        same(found, MNIST[name])


def test_fashion_mnist_returns_the_four_files_as_arrays(server):
    for name, content in FASHION.items():
        server.offer(name, content)
    (x_train, y_train), (x_test, y_test) = kt.datasets.fashion_mnist.load_data()
    same(x_train, IMAGES)
    same(y_train, LABELS)
    same(x_test, IMAGES[:3])
    same(y_test, LABELS[:3])
    assert sorted(server.requests) == sorted(FASHION)


def test_cifar10_returns_images_with_channels_last_and_a_column_of_labels(server):
    server.offer("cifar-10-python.tar.gz", cifar_archive("cifar-10-batches-py", CIFAR10))
    (x_train, y_train), (x_test, y_test) = kt.datasets.cifar10.load_data()
    same(x_train, cifar_images(*CIFAR10[:5]))
    same(y_train, column(*CIFAR10[:5]), np.uint8)
    same(x_test, cifar_images("test_batch"))
    same(y_test, column("test_batch"), np.uint8)


@pytest.mark.parametrize(("mode", "factor"), [("fine", 10), ("coarse", 2)])
def test_cifar100_returns_the_labels_of_the_mode(server, mode, factor):
    server.offer("cifar-100-python.tar.gz", cifar_archive("cifar-100-python", ["train", "test"]))
    (x_train, y_train), (x_test, y_test) = kt.datasets.cifar100.load_data(mode)
    same(x_train, cifar_images("train"))
    same(y_train, factor * column("train"), np.int64)
    same(x_test, cifar_images("test"))
    same(y_test, factor * column("test"), np.int64)


def test_cifar100_names_the_modes():
    with pytest.raises(ValueError, match=r"Unknown label_mode 'corse'. Did you mean 'coarse'\?"):
        kt.datasets.cifar100.load_data("corse")


@pytest.mark.parametrize("seed", [113, 0])
@pytest.mark.parametrize("test_split", [0.2, 0.33, 0])
def test_california_housing_is_shuffled_and_split_by_the_seed(server, seed, test_split):
    server.offer("california_housing.npz", npz(x=HOUSES, y=PRICES))
    (x_train, y_train), (x_test, y_test) = kt.datasets.california_housing.load_data(test_split=test_split, seed=seed)
    order = np.random.RandomState(seed).permutation(50)
    last = {0.2: 40, 0.33: 33, 0: 50}[test_split]
    same(x_train, HOUSES[order[:last]])
    same(y_train, PRICES[order[:last]])
    same(x_test, HOUSES[order[last:]])
    same(y_test, PRICES[order[last:]])


def test_the_small_california_housing_has_the_first_600_rows(tmp_path):
    path = tmp_path / "a.npz"
    path.write_bytes(npz(x=np.arange(8 * 700).reshape(700, 8), y=np.arange(700)))
    (x_train, y_train), (x_test, y_test) = kt.datasets.california_housing.load_data("small", path)
    assert sorted([*y_train, *y_test]) == list(range(600))
    assert len(y_train) == 480
    assert (x_train[:, 0] == 8 * y_train).all()
    assert (x_test[:, 0] == 8 * y_test).all()


def test_boston_housing_is_shuffled_and_split_by_the_seed(server):
    x, y = RNG.normal(size=(10, 13)), RNG.normal(size=10)
    server.offer("boston_housing.npz", npz(x=x, y=y))
    (x_train, y_train), (x_test, y_test) = kt.datasets.boston_housing.load_data(seed=3)
    order = np.random.RandomState(3).permutation(10)
    same(np.concatenate([x_train, x_test]), x[order])
    same(np.concatenate([y_train, y_test]), y[order])
    assert len(x_train) == 8


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"version": "medium"}, "Unknown version 'medium'"),
        ({"test_split": 1}, "test_split must be a finite number >= 0 and < 1, got 1"),
        ({"test_split": -0.1}, "test_split must be"),
        ({"seed": -1}, "Seed must be between 0 and 2"),
    ],
)
def test_wrong_arguments_of_california_housing_are_refused_before_anything_is_downloaded(server, arguments, words):
    server.offer("california_housing.npz", npz(x=HOUSES, y=PRICES))
    with pytest.raises(ValueError, match=words):
        kt.datasets.california_housing.load_data(**arguments)
    assert server.requests == []


@pytest.mark.parametrize("room", [kt.datasets.imdb, kt.datasets.reuters], ids=["imdb", "reuters"])
def test_a_word_index_is_a_dict(server, room):
    key = f"{room.__name__.rpartition('.')[2]}_word_index.json"
    server.offer(key, '{"the": 1, "caf\\u00e9": 2, "é": 3}'.encode(), "md5")
    assert room.get_word_index() == {"the": 1, "café": 2, "é": 3}


def test_reuters_names_46_topics():
    names = kt.datasets.reuters.get_label_names()
    assert len(names) == len(set(names)) == 46
    assert (names[0], names[3], names[45]) == ("cocoa", "earn", "lead")


@pytest.mark.parametrize("text", [str, pathlib.Path])
def test_a_local_file_is_read_without_a_network_and_without_a_hash(tmp_path, server, text):
    path = tmp_path / "other.npz"
    path.write_bytes(npz(**MNIST))
    (x_train, _), (_, y_test) = kt.datasets.mnist.load_data(text(path))
    same(x_train, IMAGES)
    same(y_test, LABELS[:3])
    assert server.requests == []
    assert not kt.config.cache_dir().exists()


def test_a_path_object_without_a_folder_is_a_local_file(tmp_path, server, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mnist.npz").write_bytes(npz(**MNIST))
    server.offer("mnist.npz", npz(**{name: array + 1 for name, array in MNIST.items()}))
    same(kt.datasets.mnist.load_data(pathlib.Path("mnist.npz"))[0][0], IMAGES)
    same(kt.datasets.mnist.load_data("./mnist.npz")[0][0], IMAGES)
    same(kt.datasets.mnist.load_data("mnist.npz")[0][0], IMAGES + 1)  # a name in the cache, as in Keras


def test_the_tilde_in_a_path_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mnist.npz").write_bytes(npz(**MNIST))
    same(kt.datasets.mnist.load_data("~/mnist.npz")[0][0], IMAGES)


def test_a_local_file_that_is_missing_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"There is no file .*gone\.npz"):
        kt.datasets.mnist.load_data(tmp_path / "gone.npz")
    for wrong in (None, 3, b"mnist.npz", ""):
        with pytest.raises(TypeError, match="path must be a path"):
            kt.datasets.mnist.load_data(wrong)


@pytest.mark.parametrize("kind", ["folder", "unpacked", "tar", "zip"])
def test_fashion_mnist_is_read_from_a_folder_or_an_archive(tmp_path, kind):
    path = tmp_path / "fashion"
    if kind == "tar":
        path.write_bytes(tar({f"data/{name}": content for name, content in FASHION.items()}, packed=False))
    elif kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.mkdir("fashion")
            for name, content in FASHION.items():
                archive.writestr(f"fashion/{name}", content)
    else:
        path.mkdir()
        unpacked = dict(zip(FASHION, [IMAGES, LABELS, IMAGES[:3], LABELS[:3]], strict=True))
        for name, content in FASHION.items():
            if kind == "folder":
                (path / name).write_bytes(content)
            else:
                (path / name.removesuffix(".gz")).write_bytes(idx(unpacked[name], packed=False))
    (x_train, y_train), (x_test, y_test) = kt.datasets.fashion_mnist.load_data(path)
    same(x_train, IMAGES)
    same(y_train, LABELS)
    same(x_test, IMAGES[:3])
    same(y_test, LABELS[:3])


@pytest.mark.parametrize("dump", [python2_pickle, lambda thing: pickle.dumps(thing, protocol=2)], ids=["py2", "py3"])
@pytest.mark.parametrize("inner", ["", "cifar-10-batches-py"])
def test_cifar10_is_read_from_a_folder(tmp_path, dump, inner):
    (tmp_path / "data" / inner).mkdir(parents=True)
    for name in CIFAR10:
        content = cifar_batch(name, dump)
        if dump is not python2_pickle:  # keys of Python 3 are text; those of the dataset are bytes
            content = dump({key.encode(): value for key, value in pickle.loads(content).items()})
        (tmp_path / "data" / inner / name).write_bytes(content)
    (x_train, y_train), _ = kt.datasets.cifar10.load_data(tmp_path / "data")
    same(x_train, cifar_images(*CIFAR10[:5]))
    same(y_train, column(*CIFAR10[:5]), np.uint8)


def test_the_batches_of_these_tests_are_pickles_as_python_2_wrote_them():
    content = cifar_batch("train")
    assert b"cnumpy.core.multiarray\n_reconstruct" in content
    batch = pickle.loads(content, encoding="bytes")
    assert set(batch) == {b"batch_label", b"labels", b"fine_labels", b"coarse_labels", b"data", b"filenames"}
    same(batch[b"data"], PIXELS["train"])


def test_a_model_trains_on_a_dataset_by_name(server):
    server.offer("mnist.npz", npz(**MNIST))
    (x_train, y_train), _ = kt.datasets.mnist.load_data()
    model = kt.Sequential([kt.layers.Flatten(), kt.layers.Dense(10, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    history = model.fit(x_train / 255, y_train, epochs=2, verbose=0)
    assert history.history["loss"][1] < history.history["loss"][0]


def test_padded_reviews_are_an_array_of_numbers(tmp_path):
    (tmp_path / "a.npz").write_bytes(npz(x=ragged([[1, 2], [3], [4, 5, 6]]), y=np.array([0, 1, 2])))
    (x_train, _), _ = kt.datasets.reuters.load_data(tmp_path / "a.npz", test_split=0, num_words=100)
    padded = kt.utils.pad_sequences(x_train)
    assert sorted(padded.tolist()) == [[0, 0, 1, 6], [0, 1, 4, 5], [1, 7, 8, 9]]
