"""RemoteMonitor: the numbers of each epoch to a server."""

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

TIMEOUT = 3.0  # seconds that an epoch waits for the server


class RemoteMonitor(Callback):
    """Posts each epoch's number and logs to a server, as JSON; NaN and infinity, which JSON has not, as `null`.

    Args:
        root: `http://` or `https://` and where the server is.
        path: what is added to `root`.
        field: the name of the form's field that the JSON is in.
        headers: more headers of the request.
        send_as_json: send the JSON as it is, with `field` unused, and no form.

    A server that does not answer within three seconds, or answers with an error, stops nothing: training goes on, and
    the first time in a fit there is a warning.
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
        self._told = False

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._told = False

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        sent = json.dumps({"epoch": epoch, **{name: _plain(value) for name, value in (logs or {}).items()}})
        kind = "application/json" if self.send_as_json else "application/x-www-form-urlencoded"
        body = sent if self.send_as_json else urllib.parse.urlencode({self.field: sent})
        headers = {"Content-Type": kind, **(self.headers or {})}
        try:
            request = urllib.request.Request(self.root + self.path, body.encode(), headers, method="POST")
            with urllib.request.urlopen(request, timeout=TIMEOUT):
                return
        except urllib.error.HTTPError as error:
            error.close()
            self._tell(f"{self.root} answered {error.code} {error.reason}")
        except (OSError, HTTPException) as error:
            self._tell(f"could not reach {self.root}: {getattr(error, 'reason', error)}")

    def _tell(self, sentence: str) -> None:
        if not self._told:
            self._told = True
            warn(f"RemoteMonitor: {sentence}. Training goes on.")


def _plain(value: Any) -> Any:
    """A number or list that JSON has; text of anything else."""
    value = value.tolist() if hasattr(value, "tolist") else value  # tensors and arrays
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)
