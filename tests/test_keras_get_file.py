"""`keras.utils.get_file`: the cache, hashes, archives, and what is refused."""

import hashlib
import io
import pathlib
import sys
import tarfile
import zipfile

import pytest
from support.dataset_files import dataset_server

import kerastorch.keras as keras

CONTENT = b"first line\nsecond line\n"


@pytest.fixture
def server(monkeypatch, tmp_path):
    with dataset_server(monkeypatch, tmp_path) as running:
        running.files["text.txt"] = running.files["text.txt?version=3"] = CONTENT
        yield running


def tar(members, mode="w:gz"):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as opened:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            if content is None:
                info.type, info.linkname = tarfile.SYMTYPE, "../../secret"
                opened.addfile(info)
            else:
                info.size = len(content)
                opened.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def zipped(members):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as opened:
        for name, content in members.items():
            opened.writestr(name, content)
    return stream.getvalue()


def inside(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# --- the cache --------------------------------------------------------------------------------------------------


def test_a_file_is_downloaded_once_to_the_place_that_keras_names(server, tmp_path):
    for _ in range(2):
        path = keras.utils.get_file(origin=server.url + "/text.txt?version=3")
        assert path == str(tmp_path / "cache" / "datasets" / "text.txt")
    assert inside(tmp_path) == {"cache/datasets/text.txt": CONTENT}
    assert server.requests == ["text.txt?version=3"]


def test_names_and_folders_are_those_of_the_arguments(server, tmp_path):
    path = keras.utils.get_file("a.txt", server.url + "/text.txt", cache_dir=tmp_path / "own", cache_subdir="texts")
    assert path == str(tmp_path / "own" / "texts" / "a.txt")
    absolute = keras.utils.get_file("b.txt", server.url + "/text.txt", cache_subdir=str(tmp_path / "there"))
    assert absolute == str(tmp_path / "there" / "b.txt")


def test_force_download_replaces_the_file(server):
    path = pathlib.Path(keras.utils.get_file(origin=server.url + "/text.txt"))
    server.files["text.txt"] = b"new"
    keras.utils.get_file(origin=server.url + "/text.txt")
    assert path.read_bytes() == CONTENT
    keras.utils.get_file(origin=server.url + "/text.txt", force_download=True)
    assert path.read_bytes() == b"new"


def test_a_local_file_is_copied(server, tmp_path):
    source = tmp_path / "with space.txt"
    source.write_bytes(CONTENT)
    path = keras.utils.get_file(origin=source.as_uri())
    assert pathlib.Path(path).name == "with space.txt"
    assert pathlib.Path(path).read_bytes() == CONTENT


def test_a_file_in_the_cache_needs_no_pooch(server, monkeypatch):
    path = keras.utils.get_file(origin=server.url + "/text.txt")
    monkeypatch.setitem(sys.modules, "pooch", None)
    assert keras.utils.get_file(origin=server.url + "/text.txt") == path
    with pytest.raises(ImportError, match=r"^utils\.get_file needs pooch: pip install pooch$"):
        keras.utils.get_file(origin=server.url + "/other.txt")


# --- hashes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["md5", "sha256"])
@pytest.mark.parametrize("said", ["auto", "by name"])
def test_a_cached_file_with_another_hash_is_downloaded_again(server, algorithm, said):
    digest = hashlib.new(algorithm, CONTENT).hexdigest()
    options = {"file_hash": digest.upper(), "hash_algorithm": "auto" if said == "auto" else algorithm}
    path = pathlib.Path(keras.utils.get_file(origin=server.url + "/text.txt", **options))
    path.write_bytes(b"cut off")
    keras.utils.get_file(origin=server.url + "/text.txt", **options)
    assert path.read_bytes() == CONTENT
    keras.utils.get_file(origin=server.url + "/text.txt", **options)
    assert len(server.requests) == 2


def test_a_download_with_another_hash_is_removed(server, tmp_path):
    with pytest.raises(ValueError, match="was removed: its hash is not"):
        keras.utils.get_file(origin=server.url + "/text.txt", md5_hash="0" * 32)
    assert inside(tmp_path) == {}
    with pytest.raises(ValueError, match="32 \\(MD5\\) or 64"):
        keras.utils.get_file(origin=server.url + "/text.txt", file_hash="abc")


def test_the_old_file_stays_if_the_new_one_is_wrong(server):
    path = pathlib.Path(keras.utils.get_file(origin=server.url + "/text.txt"))
    path.write_bytes(b"mine")
    with pytest.raises(ValueError, match="was removed"):
        keras.utils.get_file(origin=server.url + "/text.txt", file_hash="0" * 64)
    assert path.read_bytes() == b"mine"


# --- archives ---------------------------------------------------------------------------------------------------

MEMBERS = {"photos/roses/1.jpg": b"red", "photos/tulips/2.jpg": b"yellow"}


@pytest.mark.parametrize("content", [tar(MEMBERS), tar(MEMBERS, "w"), zipped(MEMBERS)], ids=["tgz", "tar", "zip"])
@pytest.mark.parametrize(
    ("fname", "folder", "archive"),
    [
        (None, "data.bin", "data.bin_archive"),
        ("flowers", "flowers", "flowers_archive"),
        ("flowers.tar.gz", "flowers_extracted", "flowers.tar.gz"),
    ],
)
def test_the_folder_of_an_archive_is_where_keras_has_it(server, tmp_path, content, fname, folder, archive):
    server.files["data.bin"] = content
    found = keras.utils.get_file(fname, server.url + "/data.bin", extract=True)
    datasets = tmp_path / "cache" / "datasets"
    assert found == str(datasets / folder)
    assert inside(datasets / folder) == MEMBERS
    assert sorted(path.name for path in datasets.iterdir()) == sorted([folder, archive])


def test_an_archive_is_extracted_once_and_its_folder_completed_by_a_new_one(server):
    server.files["data.zip"] = zipped(MEMBERS)
    folder = pathlib.Path(keras.utils.get_file(origin=server.url + "/data.zip", extract=True))
    (folder / "photos/roses/1.jpg").unlink()
    (folder / "mine.txt").write_bytes(b"note")
    keras.utils.get_file(origin=server.url + "/data.zip", extract=True)
    assert "photos/roses/1.jpg" not in inside(folder)
    keras.utils.get_file(origin=server.url + "/data.zip", extract=True, force_download=True)
    assert inside(folder) == {**MEMBERS, "mine.txt": b"note"}


@pytest.mark.parametrize(
    "content",
    [
        tar({"good.txt": b"x", "../evil.txt": b"x"}),
        tar({"good.txt": b"x", "link": None}),
        zipped({"good.txt": b"x", "../evil.txt": b"x"}),
        zipped({"good.txt": b"x", "/evil.txt": b"x"}),
        zipped({"good.txt": b"x", "a\\..\\..\\evil.txt": b"x"}),
    ],
    ids=["tar path", "tar link", "zip path", "zip root", "zip backslash"],
)
def test_an_archive_that_leaves_its_folder_is_refused_as_a_whole(server, tmp_path, content):
    server.files["data.bin"] = content
    with pytest.raises(ValueError, match="would leave the folder"):
        keras.utils.get_file("data", server.url + "/data.bin", extract=True)
    assert inside(tmp_path) == {"cache/datasets/data_archive": content}
    assert not (tmp_path / "cache/datasets/data").exists()


def test_other_formats_are_not_extracted_and_warn(server):
    server.files["data.zip"] = zipped(MEMBERS)
    for options in ({"untar": True}, {"extract": True, "archive_format": None}):
        with pytest.warns(UserWarning, match="it is no archive of the formats"):
            keras.utils.get_file(origin=server.url + "/data.zip", **options)
    with pytest.raises(ValueError, match="archive_format must be"):
        keras.utils.get_file(origin=server.url + "/data.zip", extract=True, archive_format="rar")


# --- errors -----------------------------------------------------------------------------------------------------


def test_wrong_arguments_and_failed_downloads_say_what_to_do(server, tmp_path):
    with pytest.raises(ValueError, match="needs origin="):
        keras.utils.get_file("a.txt")
    with pytest.raises(ValueError, match="without a folder"):
        keras.utils.get_file("a/b.txt", server.url + "/text.txt")
    with pytest.raises(ValueError, match="give fname="):
        keras.utils.get_file(origin=server.url + "/")
    with pytest.raises(ConnectionError, match=r"nothing\.txt could not be downloaded: HTTPError: 404"):
        keras.utils.get_file(origin=server.url + "/nothing.txt")
    with pytest.raises(ConnectionError, match="could not be downloaded"):
        keras.utils.get_file(origin=(tmp_path / "nothing.txt").as_uri())
    assert inside(tmp_path) == {}


def test_a_download_prints_no_temporary_path_and_no_advice_of_pooch(server, capsys):
    keras.utils.get_file(origin=server.url + "/text.txt")
    printed = capsys.readouterr()
    assert "pooch" not in printed.out + printed.err
    assert "text.txt: 100%" in printed.err
