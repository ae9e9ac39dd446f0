"""Small files in the formats of the datasets, and a server on this machine that offers them."""

import contextlib
import gzip
import hashlib
import io
import pickle
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pooch  # noqa: F401  # pooch logs to the stderr of its import; within a test that would be a captured one

import kerastorch as kt
from kerastorch.datasets import registry


def npz(**arrays):
    """Content of an `.npz` file."""
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def ragged(lists):
    """An array of lists, as `imdb.npz` and `reuters.npz` hold it."""
    array = np.empty(len(lists), dtype=object)
    for place, one in enumerate(lists):
        array[place] = one
    return array


def idx(array, packed=True):
    """Content of an IDX file of unsigned bytes."""
    header = bytes((0, 0, 8, array.ndim)) + b"".join(size.to_bytes(4, "big") for size in array.shape)
    content = header + array.astype(np.uint8).tobytes()
    return gzip.compress(content) if packed else content


class _Python2Pickler(pickle._Pickler):
    """Write strings as Python 2 did, in which they were bytes."""

    dispatch = dict(pickle._Pickler.dispatch)

    def save_string(self, text):
        data = text.encode("latin1") if isinstance(text, str) else text
        self.write(b"T" + len(data).to_bytes(4, "little") + data)
        self.memoize(text)

    dispatch[str] = dispatch[bytes] = save_string


def python2_pickle(thing):
    """Content of a pickle as Python 2 and NumPy 1 wrote the batches of CIFAR."""
    stream = io.BytesIO()
    _Python2Pickler(stream, protocol=2).dump(thing)
    return stream.getvalue().replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")


def tar(files, packed=True):
    """Content of a tar archive; `files` has names and contents, or `tarfile.TarInfo` and contents."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz" if packed else "w") as archive:
        for name, content in files.items():
            member = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


class DatasetServer:
    """A server on 127.0.0.1 whose files take the place of the real ones in the registry.

    `requests` lists the names that were asked for. `sent` maps a name to what is sent instead of the file: other bytes,
    a status code, or `"half"` for half of the file.
    """

    def __init__(self, monkeypatch):
        self._monkeypatch = monkeypatch
        self.files, self.requests, self.sent = {}, [], {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.requests.append(self.path[1:])
                self.answer(outer.files.get(self.path[1:]), outer.sent.get(self.path[1:]))

            def answer(self, content, instead):
                if content is None or isinstance(instead, int):
                    self.send_error(instead or 404)
                    return
                body = instead if isinstance(instead, bytes) else content
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[: len(body) // 2] if instead == "half" else body)

            def log_message(self, *args):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def offer(self, key, content, algorithm="sha256"):
        """Offer the file `key` of the registry with other content and the hash of it."""
        self.files[key] = content
        digest = hashlib.new(algorithm, content).hexdigest()
        keras_names = registry.FILES[key].keras_names
        file = registry.RemoteFile(f"{self.url}/{key}", f"{algorithm}:{digest}", len(content), keras_names)
        self._monkeypatch.setitem(registry.FILES, key, file)

    def close(self):
        """Stop the server; later requests are refused by the system."""
        self._server.shutdown()
        self._server.server_close()


@contextlib.contextmanager
def dataset_server(monkeypatch, folder):
    """A server, with an empty cache in `folder/cache` and an empty cache of Keras in `folder/keras`."""
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("KERAS_HOME", str(folder / "keras"))
    kt.config.set_cache_dir(folder / "cache")
    server = DatasetServer(monkeypatch)
    try:
        yield server
    finally:
        server.close()
        kt.config.set_cache_dir(None)
