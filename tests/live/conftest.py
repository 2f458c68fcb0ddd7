"""Guests in the states that the live tests start from."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gdbtools.children.mi import Gdb
from gdbtools.errors import Unavailable
from tests.guests import packages
from tests.live.session import INIT, Live, Session, attached, gdb_session


@pytest.fixture
def alone(gdb_path: str) -> Iterator[Session]:
    """GDB attached to nothing."""
    with gdb_session(gdb_path) as session:
        yield session


@pytest.fixture
def at_reset(qemu: str, gdb_path: str) -> Iterator[Live]:
    """A guest of its own for each test, before its first instruction."""
    with attached(gdb_path) as live:
        yield live


@pytest.fixture
def at_scan(at_reset: Live) -> Live:
    """A guest of its own for each test, before the first access flag is cleared."""
    at_reset.to_scan()
    return at_reset


@pytest.fixture
def at_fault(at_reset: Live) -> Live:
    """A guest of its own for each test, at the vector entry of its first fault."""
    at_reset.to_fault()
    return at_reset


@pytest.fixture(scope="module")
def shared_fault(qemu: str, gdb_path: str) -> Iterator[Live]:
    """A guest at its first fault for the tests of a file that leave it as it is."""
    with attached(gdb_path) as live:
        live.to_fault()
        yield live


@pytest.fixture(scope="module")
def shared_reset(qemu: str, gdb_path: str) -> Iterator[Live]:
    """A guest at reset for the tests of a file that leave it as it is."""
    with attached(gdb_path) as live:
        yield live


@pytest.fixture(scope="module")
def gdb(qemu: str, gdb_path: str) -> Iterator[Gdb]:
    """One GDB for the guests of a file, one after another."""
    with Gdb(gdb_path, INIT) as found:
        yield found


@pytest.fixture(scope="module")
def newest(qemu: str) -> tuple[str, ...]:
    """The newest QEMU there is."""
    try:
        return packages.qemu("sid").command
    except Unavailable as missing:
        pytest.skip(f"QEMU of Debian sid: {missing}")
