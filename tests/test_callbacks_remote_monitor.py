"""RemoteMonitor: what a real server on this machine is sent."""

import json
import socket
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest
import torch
from support.problems import regression
from torch import nn

import kerastorch as kt
from kerastorch.callbacks import LambdaCallback, RemoteMonitor


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def server():
    """A server that keeps what it is sent in `server.got` and answers `server.answer`."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            self.server.got.append((self.path, dict(self.headers), body))
            self.send_response(self.server.answer)
            self.end_headers()

        def log_message(self, *args):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        server.got, server.answer = [], 200
        server.root = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def trained(monitor, epochs=2, before=()):
    x, y = regression(40)
    model = kt.Model(nn.Linear(6, 1))
    model.compile("sgd", "mse")
    return model.fit(x, y, epochs=epochs, verbose=0, callbacks=[*before, monitor]).history


def test_each_epoch_is_sent_in_a_form_as_keras_sends_it(server):
    losses = trained(RemoteMonitor(server.root))["loss"]
    for epoch, (path, headers, body) in enumerate(server.got):
        assert path == "/publish/epoch/end/"
        assert headers["Content-Type"] == "application/x-www-form-urlencoded"
        ((field, text),) = urllib.parse.parse_qsl(body)
        assert (field, json.loads(text)) == ("data", {"epoch": epoch, "loss": losses[epoch], "learning_rate": 0.01})
    assert len(server.got) == 2


def test_it_can_be_json_itself_with_headers_and_another_path(server):
    monitor = RemoteMonitor(server.root, path="/here", headers={"X-Key": "abc"}, send_as_json=True)
    losses = trained(monitor, epochs=1)["loss"]
    ((path, headers, body),) = server.got
    assert (path, headers["X-Key"], headers["Content-Type"]) == ("/here", "abc", "application/json")
    assert json.loads(body) == {"epoch": 0, "loss": losses[0], "learning_rate": 0.01}


def test_what_json_has_not_is_sent_as_what_it_has(server):
    more = {"nan": float("nan"), "array": np.array([1.0, 2.0]), "scalar": torch.tensor(3), "kind": torch.float32}
    RemoteMonitor(server.root, send_as_json=True).on_epoch_end(0, dict(more))
    assert json.loads(server.got[0][2]) == {
        "epoch": 0, "nan": None, "array": [1.0, 2.0], "scalar": 3, "kind": "torch.float32",
    }  # fmt: skip


def test_a_server_that_is_not_there_is_warned_of_once_a_fit():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monitor = RemoteMonitor(f"http://127.0.0.1:{free.getsockname()[1]}")  # nobody listens
        for _ in range(2):
            with pytest.warns(UserWarning, match=r"could not reach http://127.0.0.1:.* Training continues") as caught:
                history = trained(monitor, epochs=3)
            assert len(caught) == 1
            assert len(history["loss"]) == 3


def test_an_answer_that_is_an_error_is_warned_of_once(server):
    server.answer = 404
    with pytest.warns(UserWarning, match="answered 404 Not Found") as caught:
        trained(RemoteMonitor(server.root), epochs=3)
    assert len(caught) == 1
    assert len(server.got) == 3  # it is tried again


def test_a_server_that_comes_back_gets_what_follows(server):
    server.answer = 500
    mend = LambdaCallback(on_epoch_begin=lambda epoch, logs: setattr(server, "answer", 200 if epoch else 500))
    with pytest.warns(UserWarning, match="answered 500"):
        trained(RemoteMonitor(server.root), before=[mend])
    assert len(server.got) == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"root": "file:///etc/passwd"}, "root must be an address that begins with http:// or https://"),
        ({"root": "ftp://there"}, "root must be"),
        ({"root": "localhost:9000"}, "root must be"),
        ({"root": "http://"}, "root must be"),
        ({"root": None}, "root must be"),
        ({"path": 3}, "path must be a string, got 3"),
        ({"headers": ["a"]}, "headers must be a dict of strings"),
    ],
)
def test_wrong_arguments_are_refused_at_once(arguments, words):
    with pytest.raises(ValueError, match=words):
        RemoteMonitor(**arguments)
