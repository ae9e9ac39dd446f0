"""Forbid connections to other machines in this process, and remember whether one was tried."""

from __future__ import annotations

import socket
from typing import Any

_LOCAL = ("localhost", "127.0.0.1", "::1", "0.0.0.0", "", None)


class NetworkGuard:
    """Raises an error for connections to other machines; those within this machine work.

    Attributes:
        tried: Hosts that were asked for.
    """

    def __init__(self) -> None:
        self.tried: list[str] = []

    def install(self) -> None:
        """Replace the functions of `socket` that look up a host or connect, for the rest of the process."""
        connect, connect_ex, look_up = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo
        guard = self

        def guarded_connect(self: socket.socket, address: Any) -> None:
            guard.check(address)
            connect(self, address)

        def guarded_connect_ex(self: socket.socket, address: Any) -> int:
            guard.check(address)
            return connect_ex(self, address)

        def guarded_look_up(host: Any, *args: Any, **kwargs: Any) -> Any:
            guard.check((host,))
            return look_up(host, *args, **kwargs)

        socket.socket.connect = guarded_connect  # type: ignore[assignment,method-assign]
        socket.socket.connect_ex = guarded_connect_ex  # type: ignore[assignment,method-assign]
        socket.getaddrinfo = guarded_look_up

    def check(self, address: Any) -> None:
        """Raise an error if an address is not on this machine.

        Raises:
            ConnectionError: It is on another one.
        """
        host = address[0] if isinstance(address, tuple) and address else None  # a path is a socket of this machine
        host = host.decode() if isinstance(host, bytes) else host
        if host not in _LOCAL:
            self.tried.append(str(host))
            raise ConnectionError(f"No network in the check of a script: {host}")
