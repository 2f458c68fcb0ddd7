"""The wire: packets in one piece, answers in their order, and the right socket or none."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from gdbtools.live.stub.rsp import open_wire
from gdbtools.machine.live.gdbstub import StubLost, Wire, framed, register_numbers
from gdbtools.machine.live.process import peer_of

XML = {
    "target.xml": '<target><xi:include href="core.xml"/><xi:include href="s.xml"/></target>',
    "core.xml": '<feature name="c"><vector id="v" type="t" count="2"/><reg name="x0" bitsize="64"/>'
    '<!-- what is here\n has no number: <reg name="x1" bitsize="64"/-->'
    '<reg name="pc" bitsize="64" type="code_ptr"/></feature>',
    "s.xml": '<feature name="s"><reg name="ESR_EL1" bitsize="64" regnum="93"/><reg name="FAR_EL1" bitsize="64"/>'
    '<reg name="ESR_EL1" bitsize="64" regnum="100"/></feature>',
}


@pytest.fixture
def ends() -> Iterator[tuple[Wire, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Wire(ours), theirs


def test_a_packet_has_its_checksum() -> None:
    assert framed("vCont;c") == b"$vCont;c#a8"


def test_answers_come_in_order_however_they_are_cut(ends: tuple[Wire, socket.socket]) -> None:
    wire, stub = ends

    def answer() -> None:
        stub.recv(1 << 12)
        for byte in b"+$OK#9a+$0011#c2+$#00":
            stub.send(bytes([byte]))

    thread = threading.Thread(target=answer)
    thread.start()
    assert wire.ask(["a", "b", "c"]) == [b"OK", b"0011", b""]
    thread.join()
    assert wire.quiet()


def test_all_packets_are_sent_in_one_piece(ends: tuple[Wire, socket.socket]) -> None:
    wire, stub = ends
    wire.send(["p20", "vCont;c"])
    assert stub.recv(1 << 12) == b"+" + framed("p20") + framed("vCont;c")


def test_a_connection_that_closes_or_says_too_much_is_lost(ends: tuple[Wire, socket.socket]) -> None:
    wire, stub = ends
    stub.sendall(b"+$OK#9a+$OK#9a")
    with pytest.raises(StubLost, match="more than it was asked"):
        wire.ask(["a"])
    stub.close()
    with pytest.raises(StubLost):
        wire.ask(["a"])


def test_register_numbers_follow_the_description(ends: tuple[Wire, socket.socket]) -> None:
    wire, stub = ends

    def serve() -> None:
        for _ in XML:
            annex = stub.recv(1 << 12).decode().split(":")[3]
            stub.sendall(b"+" + framed("l" + XML[annex]))

    thread = threading.Thread(target=serve)
    thread.start()
    assert register_numbers(wire) == {"x0": 0, "pc": 1, "ESR_EL1": 93, "FAR_EL1": 94}
    thread.join()


def test_the_socket_to_a_path_is_found_and_its_peer_is_who_listened(tmp_path: Path) -> None:
    path = str(tmp_path / "stub")
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        listener.bind(path)
        listener.listen()
        client.connect(path)
        wire = open_wire(path)
        assert wire is not None
        assert wire.peer == os.getpid()
        wire.close()
        client.sendall(b"still open")
        assert open_wire(str(tmp_path / "another")) is None


def test_of_two_sockets_to_one_place_none_is_taken(tmp_path: Path) -> None:
    path = str(tmp_path / "stub")
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as one:
        listener.bind(path)
        listener.listen()
        one.connect(path)
        with socket.socket(socket.AF_UNIX) as two:
            two.connect(path)
            assert open_wire(path) is None


def test_a_socket_on_which_something_waits_unasked_is_left_alone(tmp_path: Path) -> None:
    path = str(tmp_path / "stub")
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        listener.bind(path)
        listener.listen()
        client.connect(path)
        server, _ = listener.accept()
        with server:
            server.sendall(b"$T05thread:01;#00")
            assert open_wire(path) is None
        assert client.recv(1 << 12).startswith(b"$T05")


def test_over_tcp_the_peer_is_who_holds_the_other_end() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            server, _ = listener.accept()
            with server:
                wire = open_wire(f"localhost:{port}")
                assert wire is not None
                assert wire.peer == os.getpid() == peer_of(client)
                wire.close()
