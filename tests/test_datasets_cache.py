"""Files of datasets: the folders where they are searched, downloads that fail, and what users are told then."""

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
from harness import as_anybody, needs_fork
from support.dataset_files import dataset_server, idx, npz, tar

import kerastorch as kt

ARRAYS = {
    "x_train": np.arange(12, dtype=np.uint8).reshape(3, 2, 2),
    "y_train": np.arange(3, dtype=np.uint8),
    "x_test": np.zeros((1, 2, 2), np.uint8),
    "y_test": np.zeros(1, np.uint8),
}
CONTENT = npz(**ARRAYS)


@pytest.fixture
def server(monkeypatch, tmp_path):
    with dataset_server(monkeypatch, tmp_path) as running:
        running.offer("mnist.npz", CONTENT)
        yield running


def loaded(path="mnist.npz"):
    """Whether `load_data` returns the arrays of these tests."""
    (x_train, y_train), (x_test, y_test) = kt.datasets.mnist.load_data(path)
    found = {"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test}
    return all(np.array_equal(found[name], ARRAYS[name]) for name in ARRAYS)


def files(folder):
    """All files below a folder, and their content."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_file_is_downloaded_once_and_kept_unchanged(server, tmp_path):
    assert loaded()
    assert loaded()
    assert server.requests == ["mnist.npz"]
    assert files(tmp_path / "cache") == {"datasets/mnist.npz": CONTENT}


def test_a_name_is_the_name_of_the_file_in_the_cache(server, tmp_path):
    assert loaded("digits.npz")
    assert loaded("digits.npz")
    assert server.requests == ["mnist.npz"]
    assert files(tmp_path / "cache") == {"datasets/digits.npz": CONTENT}


def test_the_files_of_fashion_mnist_have_a_folder_of_their_own(server, tmp_path):
    for part in ("train", "t10k"):
        server.offer(f"{part}-images-idx3-ubyte.gz", idx(ARRAYS["x_train"]))
        server.offer(f"{part}-labels-idx1-ubyte.gz", idx(ARRAYS["y_train"]))
    kt.datasets.fashion_mnist.load_data()
    names = set(server.requests)
    assert files(tmp_path / "cache").keys() == {f"datasets/fashion-mnist/{name}" for name in names}
    assert len(names) == 4
    (tmp_path / "cache" / "datasets" / "fashion-mnist").rename(tmp_path / "cache" / "datasets" / "clothes")
    kt.datasets.fashion_mnist.load_data("clothes")
    assert len(server.requests) == 4


def test_a_download_shows_its_progress(server, capsys):
    assert loaded()
    assert "mnist.npz: 100%" in capsys.readouterr().err
    assert loaded()
    assert "100%" not in capsys.readouterr().err


def test_a_downloaded_file_can_be_read_by_those_who_can_read_its_folder(server, tmp_path):
    for name, folder_mode, mode in (("a.npz", 0o755, 0o644), ("b.npz", 0o700, 0o600)):
        folder = tmp_path / "cache" / "datasets"
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(folder_mode)
        assert loaded(name)
        assert (folder / name).stat().st_mode & 0o777 == mode


def test_a_file_that_was_put_into_the_cache_by_hand_is_used_without_pooch(server, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)  # as if it were not installed
    (tmp_path / "cache" / "datasets").mkdir(parents=True)
    (tmp_path / "cache" / "datasets" / "mnist.npz").write_bytes(CONTENT)
    (tmp_path / "local.npz").write_bytes(CONTENT)
    assert loaded()
    assert loaded(tmp_path / "local.npz")
    assert server.requests == []


@pytest.mark.parametrize(
    ("load", "name"),
    [
        (kt.datasets.mnist.load_data, "mnist.load_data"),
        (kt.datasets.fashion_mnist.load_data, "fashion_mnist.load_data"),
        (kt.datasets.cifar10.load_data, "cifar10.load_data"),
        (kt.datasets.cifar100.load_data, "cifar100.load_data"),
        (kt.datasets.imdb.load_data, "imdb.load_data"),
        (kt.datasets.imdb.get_word_index, "imdb.get_word_index"),
        (kt.datasets.reuters.load_data, "reuters.load_data"),
        (kt.datasets.reuters.get_word_index, "reuters.get_word_index"),
        (kt.datasets.california_housing.load_data, "california_housing.load_data"),
        (kt.datasets.boston_housing.load_data, "boston_housing.load_data"),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_without_pooch_a_download_says_which_package_is_missing(server, monkeypatch, load, name):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(ImportError, match=rf"^datasets\.{name} needs pooch: pip install pooch$"):
        load()


def test_a_copy_of_keras_is_used(server, tmp_path):
    (tmp_path / "keras" / "datasets").mkdir(parents=True)
    (tmp_path / "keras" / "datasets" / "mnist.npz").write_bytes(CONTENT)
    assert loaded()
    assert loaded("digits.npz")
    assert server.requests == []
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    "name", ["cifar-10-batches-py_archive", "cifar-10-batches-py.tar.gz", "cifar-10-python.tar.gz"]
)
def test_the_archive_of_cifar10_is_found_under_the_names_that_keras_gave_it(server, tmp_path, name):
    content = tar({"cifar-10-batches-py/none": b""})
    server.offer("cifar-10-python.tar.gz", content)
    (tmp_path / "keras" / "datasets").mkdir(parents=True)
    (tmp_path / "keras" / "datasets" / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"{name} is damaged, or does not hold the batches .*no file data_batch_1"):
        kt.datasets.cifar10.load_data()
    assert server.requests == []


def test_keras_home_is_the_home_folder_by_default(server, tmp_path, monkeypatch):
    monkeypatch.delenv("KERAS_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".keras" / "datasets").mkdir(parents=True)
    (tmp_path / ".keras" / "datasets" / "mnist.npz").write_bytes(CONTENT)
    assert loaded()
    assert server.requests == []


def test_a_copy_of_keras_with_another_hash_is_neither_used_nor_changed(server, tmp_path):
    (tmp_path / "keras" / "datasets").mkdir(parents=True)
    (tmp_path / "keras" / "datasets" / "mnist.npz").write_bytes(b"other")
    assert loaded()
    assert server.requests == ["mnist.npz"]
    assert files(tmp_path / "keras") == {"datasets/mnist.npz": b"other"}


def test_a_cached_file_with_another_hash_is_downloaded_again(server, tmp_path):
    (tmp_path / "cache" / "datasets").mkdir(parents=True)
    (tmp_path / "cache" / "datasets" / "mnist.npz").write_bytes(CONTENT[:-1])
    assert loaded()
    assert files(tmp_path / "cache") == {"datasets/mnist.npz": CONTENT}


@pytest.mark.parametrize("algorithm", ["sha256", "md5"])
def test_a_download_with_another_hash_is_an_error_and_is_removed(server, tmp_path, algorithm):
    server.offer("imdb_word_index.json", b'{"a": 1}', algorithm)
    server.sent["imdb_word_index.json"] = b'{"a": 2}'
    with pytest.raises(ValueError, match=r"The download of http.* is damaged and was removed") as caught:
        kt.datasets.imdb.get_word_index()
    digest = hashlib.new(algorithm, b'{"a": 1}').hexdigest()
    assert f"its {'MD5' if algorithm == 'md5' else 'SHA-256'} is not {digest}" in str(caught.value)
    assert files(tmp_path / "cache") == {}
    server.sent.clear()
    assert kt.datasets.imdb.get_word_index() == {"a": 1}


def test_half_a_file_is_an_error_and_does_not_stay(server, tmp_path):
    server.sent["mnist.npz"] = "half"
    with pytest.raises(ConnectionError, match=r"mnist\.npz could not be downloaded: IncompleteRead"):
        kt.datasets.mnist.load_data()
    assert files(tmp_path / "cache") == {}
    server.sent.clear()
    assert loaded()


def test_half_a_file_does_not_replace_what_is_in_the_cache(server, tmp_path):
    (tmp_path / "cache" / "datasets").mkdir(parents=True)
    (tmp_path / "cache" / "datasets" / "mnist.npz").write_bytes(b"older")
    server.sent["mnist.npz"] = "half"
    with pytest.raises(ConnectionError):
        kt.datasets.mnist.load_data()
    assert files(tmp_path / "cache") == {"datasets/mnist.npz": b"older"}


def test_ctrl_c_leaves_no_half_file(server, tmp_path, monkeypatch):
    import requests

    def interrupted(response, chunk_size):
        yield CONTENT[:100]
        raise KeyboardInterrupt

    monkeypatch.setattr(requests.Response, "iter_content", interrupted)
    with pytest.raises(KeyboardInterrupt):
        kt.datasets.mnist.load_data()
    assert files(tmp_path / "cache") == {}


@pytest.mark.parametrize("status", [404, 503])
def test_an_answer_that_is_an_error_is_named(server, tmp_path, status):
    server.sent["mnist.npz"] = status
    with pytest.raises(ConnectionError, match=rf"could not be downloaded: HTTPError: {status}"):
        kt.datasets.mnist.load_data()
    assert files(tmp_path / "cache") == {}


def test_without_a_connection_the_message_says_what_was_tried_and_what_to_do(server, tmp_path):
    server.close()
    (tmp_path / "keras" / "datasets").mkdir(parents=True)
    (tmp_path / "keras" / "datasets" / "mnist.npz").write_bytes(b"other")
    with pytest.raises(ConnectionError) as caught:
        kt.datasets.mnist.load_data()
    message = str(caught.value)
    target = tmp_path / "cache" / "datasets" / "mnist.npz"
    assert message.startswith(f"{server.url}/mnist.npz could not be downloaded: ConnectionRefusedError: ")
    assert f"copy the file to {target}; its SHA-256 must be {hashlib.sha256(CONTENT).hexdigest()}" in message
    assert "kerastorch.config.set_cache_dir" in message
    assert "KERASTORCH_HOME" in message
    assert f"\n  {target}\n" in message
    assert f"\n  {tmp_path / 'keras' / 'datasets' / 'mnist.npz'} (another hash)" in message
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(CONTENT)  # what the message advises
    assert loaded()


def test_the_traceback_without_a_connection_is_short(server):
    server.close()
    with pytest.raises(ConnectionError) as caught:
        kt.datasets.mnist.load_data()
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    assert len(caught.traceback) == 1


@needs_fork
def test_a_cache_that_cannot_be_written_is_named(server, tmp_path):
    (tmp_path / "cache").mkdir(mode=0o500)

    def attempt():
        with pytest.raises(PermissionError, match=r"nothing can be written in \S+datasets: no permission"):
            kt.datasets.mnist.load_data()

    as_anybody(attempt)
    assert server.requests == []


@needs_fork
def test_a_cache_that_can_only_be_read_is_used(server, tmp_path):
    assert loaded()
    (tmp_path / "cache" / "datasets").chmod(0o500)
    (tmp_path / "cache").chmod(0o500)
    assert as_anybody(loaded)
    assert len(server.requests) == 1


def test_the_cache_folder_is_chosen_by_argument_then_environment_then_default(tmp_path, monkeypatch):
    for name in ("KERASTORCH_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert kt.config.cache_dir() == tmp_path / ".cache" / "kerastorch"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # the specification asks to ignore it
    assert kt.config.cache_dir() == tmp_path / ".cache" / "kerastorch"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert kt.config.cache_dir() == tmp_path / "xdg" / "kerastorch"
    monkeypatch.setenv("KERASTORCH_HOME", "~/own")
    assert kt.config.cache_dir() == tmp_path / "own"
    try:
        kt.config.set_cache_dir("~/chosen")
        assert kt.config.cache_dir() == tmp_path / "chosen"
    finally:
        kt.config.set_cache_dir(None)
    assert kt.config.cache_dir() == tmp_path / "own"
    assert list(tmp_path.iterdir()) == []


def test_a_relative_cache_folder_stays_where_it_was_chosen(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    try:
        kt.config.set_cache_dir("data")
        (tmp_path / "elsewhere").mkdir()
        os.chdir("elsewhere")
        assert kt.config.cache_dir() == tmp_path / "data"
    finally:
        kt.config.set_cache_dir(None)


def test_what_is_no_folder_is_refused_as_cache(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match="file is a file; set_cache_dir needs a folder"):
        kt.config.set_cache_dir(tmp_path / "file")
    for wrong in (3, b"a", ""):
        with pytest.raises(TypeError, match="path must be a path"):
            kt.config.set_cache_dir(wrong)


def test_importing_kerastorch_imports_no_package_for_downloads():
    script = "import sys, kerastorch.datasets; assert not {'pooch', 'requests'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)
