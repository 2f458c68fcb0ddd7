"""QEMU's machine protocol (QMP): JSON lines over a socket.  Source: QEMU's docs/interop/qmp-spec."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

from gdbtools.errors import Unavailable

ANSWER_SECONDS = 10.0
"""How long QEMU may take: it answers at once, or somebody else holds this monitor."""
LINE_BYTES = 1 << 26
"""How long an answer may be."""


class Qmp:
    """One QMP connection.  `socket` tells who is at the other end."""

    def __init__(self, connected: socket.socket, lines: BinaryIO, address: str) -> None:
        self.socket = connected
        self._address = address
        self._lines = lines
        if "QMP" not in self._line():
            raise Unavailable(f"{address} is no QMP monitor; give QEMU one: -qmp unix:PATH,server=on,wait=off")
        self.ask("qmp_capabilities")

    def _line(self) -> dict[str, Any]:
        try:
            line = self._lines.readline(LINE_BYTES)
            found = json.loads(line) if line else None
        except TimeoutError:
            raise Unavailable(
                f"{self._address} says nothing; a monitor serves one at a time: is somebody else there? Give QEMU "
                "another: -qmp unix:PATH,server=on,wait=off"
            ) from None
        except (OSError, ValueError, RecursionError):
            found = {}
        if found is None:
            raise Unavailable(f"{self._address}: QEMU closed the connection; is it still running?")
        return found if isinstance(found, dict) else {}

    def ask(self, command: str, **arguments: Any) -> Any:
        """Execute a command and give what it returns; events meanwhile are passed over."""
        request = {"execute": command, "arguments": arguments}
        try:
            self.socket.sendall(json.dumps(request).encode() + b"\n")
        except OSError as error:
            raise Unavailable(f"{self._address}: {error.strerror or error}; is QEMU still running?") from None
        while True:
            answer = self._line()
            if "error" in answer:
                said = answer["error"]
                what = said.get("desc") if isinstance(said, dict) else said
                raise Unavailable(f"QEMU refuses {command}: {' '.join(str(what).split())}")
            if "return" in answer:
                return answer["return"]
            if "event" not in answer:
                raise Unavailable(f"{self._address} does not answer as QMP does")

    def monitor(self, line: str) -> str:
        """Return what a command of the human monitor prints."""
        return str(self.ask("human-monitor-command", **{"command-line": line})).replace("\r", "")


@contextmanager
def connected(address: str) -> Iterator[Qmp]:
    """Connect to a monitor: the path of a unix socket, or HOST:PORT."""
    host, colon, port = address.rpartition(":")
    by_port = bool(colon) and port.isdigit() and "/" not in address
    link = socket.socket(socket.AF_INET if by_port else socket.AF_UNIX)
    with link:
        link.settimeout(ANSWER_SECONDS)
        try:
            link.connect((host or "localhost", int(port)) if by_port else address)
        except (OSError, OverflowError, ValueError) as error:
            why = getattr(error, "strerror", None) or error
            raise Unavailable(f"{address}: {why}; QEMU has a monitor there with -qmp unix:PATH,server=on") from None
        with link.makefile("rb") as lines:
            yield Qmp(link, lines, address)
