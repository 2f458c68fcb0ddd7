"""What is seen of processes and sockets on this host."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from gdbtools.machine.live.process import listens, peer_of, qemu_life


def test_a_socket_is_listened_at_once_it_is_and_not_when_its_file_is_there(tmp_path: Path) -> None:
    path = tmp_path / "gdb"
    assert not listens(path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        assert path.exists()
        assert not listens(path), "whoever connects now is refused"
        server.listen()
        assert listens(path)
    assert not listens(path), "its file is left"


def test_what_is_no_qemu_has_no_life_that_tells_guests_apart(tmp_path: Path) -> None:
    path = tmp_path / "relay"
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(str(path))
        server.listen()
        client.connect(str(path))
        assert peer_of(client) == os.getpid()
    assert qemu_life(os.getpid()) is None
    assert qemu_life(None) is None
