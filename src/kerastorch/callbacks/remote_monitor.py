"""RemoteMonitor: send the logs of each epoch to a server."""

from __future__ import annotations

import json
import math
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any

from kerastorch.callbacks.base import Callback, Logs
from kerastorch.core.errors import mismatch, warn

TIMEOUT = 3.0  # seconds that the end of an epoch waits for the server


class RemoteMonitor(Callback):
    """A callback that sends the number and logs of each epoch to a server, as JSON in a POST request.

    NaN and infinity, which JSON does not have, are sent as `null`. A server that answers with an error, or not within
    three seconds, does not stop training; the first failure in a fit gives a warning.

    Args:
        root: Address of the server, which begins with `http://` or `https://`. Default `"http://localhost:9000"`.
        path: Path that is added to `root`. Default `"/publish/epoch/end/"`.
        field: Name of the form field that contains the JSON. Default `"data"`.
        headers: Further headers of the request. Default `None`.
        send_as_json: Send the JSON as the body of the request, without a form; `field` is not used then. Default
            `False`.

    Raises:
        ValueError: An argument is not of this kind.
    """

    first_process_only = True

    def __init__(
        self,
        root: str = "http://localhost:9000",
        path: str = "/publish/epoch/end/",
        field: str = "data",
        headers: Mapping[str, str] | None = None,
        send_as_json: bool = False,
    ) -> None:
        address = urllib.parse.urlsplit(root) if isinstance(root, str) else None
        if address is None or address.scheme not in ("http", "https") or not address.hostname:
            raise mismatch("root", root, "an address that begins with http:// or https://")
        for name, text in (("path", path), ("field", field)):
            if not isinstance(text, str):
                raise mismatch(name, text, "a string")
        if headers is not None and not isinstance(headers, Mapping):
            raise mismatch("headers", headers, "a dict of strings")
        self.root, self.path, self.field = root, path, field
        self.headers, self.send_as_json = headers, send_as_json
        self._has_warned = False

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._has_warned = False

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        message = json.dumps({"epoch": epoch, **{name: _to_json(value) for name, value in (logs or {}).items()}})
        content_type = "application/json" if self.send_as_json else "application/x-www-form-urlencoded"
        body = message if self.send_as_json else urllib.parse.urlencode({self.field: message})
        headers = {"Content-Type": content_type, **(self.headers or {})}
        try:
            request = urllib.request.Request(self.root + self.path, body.encode(), headers, method="POST")
            with urllib.request.urlopen(request, timeout=TIMEOUT):
                return
        except urllib.error.HTTPError as error:
            error.close()
            self._warn_once(f"{self.root} answered {error.code} {error.reason}")
        except (OSError, HTTPException) as error:
            self._warn_once(f"could not reach {self.root}: {getattr(error, 'reason', error)}")

    def _warn_once(self, sentence: str) -> None:
        """Warn at the first failure in a fit."""
        if not self._has_warned:
            self._has_warned = True
            warn(f"RemoteMonitor: {sentence}. Training continues.")


def _to_json(value: Any) -> Any:
    """Return a value that JSON can represent: numbers, lists of them, `None` for NaN, and text for everything else."""
    value = value.tolist() if hasattr(value, "tolist") else value  # tensors and arrays
    if isinstance(value, (list, tuple)):
        return [_to_json(one) for one in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)
