"""RAM past the stub is this guest's or nobody's: not another QEMU's of the same file name, not a file a stub names."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from gdbtools.errors import Unreadable
from gdbtools.machine.sources import open_source
from tests.live.fake_stub import Stub
from tests.live.session import CAPTURE, Leaf, Live, attached, gdb_session, symbol

PAGE = Leaf(4, 1 << 44, 3)
AF = 1 << 10
ERET = bytes.fromhex("e0039fd6")
RAM, RAM_BYTES = 0x4000_0000, 0x30_0000


def leaf_of(live: Live) -> dict[str, str]:
    (walk,) = live.ask(f"walk {PAGE.word:#x}")
    found: dict[str, str] = walk["steps"][-1]
    return found


@pytest.mark.guest
def test_of_two_guests_with_one_file_name_each_is_shown_its_own_memory(
    qemu: str, gdb_path: str, tmp_path: Path
) -> None:
    """The file of the first was deleted, and made anew by the second: both are at the same place of the same run."""
    backend = ("-object", f"memory-backend-file,id=ram,size=128M,mem-path={tmp_path / 'ram'},share=on")
    with ExitStack() as stack:
        guests = []
        for _ in range(2):
            (tmp_path / "ram").unlink(missing_ok=True)
            guests.append(stack.enter_context(attached(gdb_path, extra=backend, machine="virt,memory-backend=ram")))
            guests[-1].to_scan()
        first, second = guests
        found = leaf_of(first)
        pa, before = int(found["descriptor_address"], 16), int(found["descriptor"], 16)
        second.poke(pa, before ^ AF)
        assert int(leaf_of(first)["descriptor"], 16) == before
        assert int(leaf_of(second)["descriptor"], 16) == before ^ AF
        assert "(deleted)" in first.say("mmu status")


@pytest.mark.guest
def test_ram_is_the_cpus_view_of_memory_and_no_other_spaces(qemu: str, gdb_path: str) -> None:
    """A machine with EL3 has a Secure view beside it, with RAM of its own; a monitor's lines end as a terminal's do."""
    secure = "0xe000000-0xeffffff"
    with attached(gdb_path, machine="virt,secure=on") as live:
        asked = "from gdbtools.live.console import console; print(console('monitor info mtree -f'))"
        assert "000000000e000000-000000000effffff (prio 0, ram)" in live.say(f"python {asked}")
        said = live.say("mmu status")
        assert "0x40000000-0x47ffffff" in said
        assert secure not in said


def test_no_stub_has_us_write_to_a_file_that_it_names(gdb_path: str, tmp_path: Path) -> None:
    """Like one on another host, behind a tunnel: what it says of its RAM is true there; here is a file of that name."""
    file, page = tmp_path / "ram", symbol("vectors") & -0x1000
    # Where the handler returns from: a service looks for one, and the capture has only tables.
    pages = {page: bytes(0xFFC) + ERET}
    file.write_bytes(image(pages))
    end = RAM + RAM_BYTES - 1
    monitor = {
        "info mtree -f": f'FlatView #0\n AS "cpu-memory-0", root: system\n  {RAM:016x}-{end:016x} (prio 0, ram): ram\n',
        "qom-get /objects/ram mem-path": f'"{file}"\n',
        "qom-get /objects/ram share": "true\n",
        f"gpa2hva {RAM:#x}": f"Host virtual address for {RAM:#x} (ram) is 0x7f0000000000\n",
    }
    before = file.read_bytes()
    with Stub(tmp_path / "stub", CAPTURE, pages=pages, monitor=monitor) as stub, gdb_session(gdb_path) as session:
        session.say(f"target remote {stub.path}")
        assert session.ask("fault")[0]["verdict"] == "tables agree"
        assert str(file) not in session.say("mmu status")
        session.ask("service --count 1")
        assert stub.writes, "the repair goes to the stub"
    assert file.read_bytes() == before


def image(pages: Mapping[int, bytes]) -> bytes:
    """Return the RAM of the recorded guest, as far as it was recorded, with further pages."""
    memory = open_source(str(CAPTURE)).memory
    found = bytearray(RAM_BYTES)
    for at in range(0, RAM_BYTES, 0x1000):
        with suppress(Unreadable):
            found[at : at + 0x1000] = pages.get(RAM + at) or memory.read(RAM + at, 0x1000)
    return bytes(found)
