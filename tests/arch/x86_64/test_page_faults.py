"""Page faults of x86-64: the error code, and where it is: on the stack, at the handler's first instruction alone."""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path

import pytest

from gdbtools.addresses import VA
from gdbtools.arch.model import AccessKind, FaultKind, Fit, with_memory
from gdbtools.arch.x86_64.architecture import X86_64
from gdbtools.arch.x86_64.privileges import SUPERVISOR, USER
from gdbtools.cli import main
from gdbtools.errors import Unavailable, Unreadable

P, RW, US = 1, 2, 4
ROOT, IDT, STACK, HANDLER = 0x1000, 0x6000, 0x7000, 0xFFFF_8000_0020_1000
REGISTERS = {
    "cr0": 0x8001_0001, "cr2": 0x4000, "cr3": ROOT, "cr4": 0x20, "efer": 0xD00, "maxphyaddr": 40, "cs": 0x10,
    "eflags": 2, "idtr": IDT, "rsp": STACK + 0xF00, "rip": HANDLER,
}  # fmt: skip


def gate(offset: int, present: bool = True) -> bytes:
    low = offset & 0xFFFF | 0x10 << 16 | 0x8E01 << 32 | (offset >> 16 & 0xFFFF) << 48
    return struct.pack("<QQ", low & ~(0 if present else 1 << 47), offset >> 32)


def image(
    error_code: int, rip: int = 0x40_1000, cs: int = 0x33, rflags: int = 0x202, present: bool = True
) -> bytearray:
    """Return memory: tables that map the first 64 KiB to themselves, a descriptor table, and a frame."""
    memory = bytearray(0x10000)

    def put(pa: int, *words: int) -> None:
        memory[pa : pa + 8 * len(words)] = struct.pack(f"<{len(words)}Q", *words)

    put(ROOT, 0x2000 | P | RW | US)
    put(0x2000, 0x3000 | P | RW | US)
    put(0x3000, 0x5000 | P | RW | US)
    put(0x5000, *(page << 12 | P | RW for page in range(16)))
    put(0x5020, 0)
    memory[IDT + 14 * 16 : IDT + 15 * 16] = gate(HANDLER, present)
    put(STACK + 0xF00, error_code, rip, cs, rflags, 0x7FFF_0000, 0x2B)
    return memory


def cpu(memory: bytes, **registers: int):  # type: ignore[no-untyped-def]
    values = REGISTERS | registers

    def register(name: str) -> int:
        if name not in values:
            raise Unavailable(name)
        return values[name]

    def read(pa: int, size_bytes: int) -> bytes:
        if pa + size_bytes > len(memory):
            raise Unreadable(pa, size_bytes, "nothing is there")
        return bytes(memory[pa : pa + size_bytes])

    return with_memory(register, read)


@pytest.mark.parametrize(
    ("code", "kind", "access", "user"),
    [
        (0x0, FaultKind.TRANSLATION, AccessKind.READ, False),
        (0x2, FaultKind.TRANSLATION, AccessKind.WRITE, False),
        (0x14, FaultKind.TRANSLATION, AccessKind.EXECUTE, True),
        (0x3, FaultKind.PERMISSION, AccessKind.WRITE, False),
        (0x15, FaultKind.PERMISSION, AccessKind.EXECUTE, True),
        (0xD, FaultKind.RESERVED_BIT, AccessKind.READ, True),
        (0xC, FaultKind.RESERVED_BIT, AccessKind.READ, True),
        (0x25, FaultKind.PROTECTION_KEY, AccessKind.READ, True),
    ],
)
def test_an_error_code_says_why_what_and_who(code: int, kind: FaultKind, access: AccessKind, user: bool) -> None:
    found = X86_64.exceptions.decode(code)
    assert found.fault is not None
    assert (found.fault.kind, found.access_kind, found.from_lower, found.status) == (kind, access, user, code)
    assert found.fault.level is None
    assert bool(found.notes) == (code == 0xC), "RSVD without P is QEMU's"


def test_at_the_handlers_first_instruction_the_frame_is_on_the_stack() -> None:
    found = X86_64.exceptions.record(cpu(image(0x6)))
    assert (int(found.syndrome.word), found.address, found.return_address) == (6, 0x4000, 0x40_1000)
    assert (found.origin, found.state, found.asking) == (USER, 0x202, None)
    assert X86_64.exceptions.vectors(cpu(image(0))) == {HANDLER: "#PF"}
    entry = X86_64.exceptions.vector_entry(cpu(image(0)))
    assert entry is not None
    assert entry.name == "#PF"


def test_a_processors_own_access_is_a_supervisors_whoever_runs() -> None:
    found = X86_64.exceptions.record(cpu(image(0x0, cs=0x33)))
    assert (found.origin, found.asked) == (USER, SUPERVISOR)


def test_elsewhere_it_is_not_known_where_the_error_code_is() -> None:
    with pytest.raises(Unavailable, match="at the first instruction of #PF's handler alone"):
        X86_64.exceptions.record(cpu(image(6), rip=HANDLER + 3))
    with pytest.raises(Unavailable, match="at the first instruction of #PF's handler alone"):
        X86_64.exceptions.record(cpu(image(6, present=False)))
    assert X86_64.exceptions.vector_entry(cpu(image(6), rip=HANDLER + 3)) is None


def test_a_fetch_is_told_by_where_it_was_where_the_code_does_not_tell_it() -> None:
    fetched = image(0x4, rip=0x4000)
    assert X86_64.exceptions.record(cpu(fetched, efer=0x500)).syndrome.access_kind is AccessKind.EXECUTE
    assert X86_64.exceptions.record(cpu(fetched)).syndrome.access_kind is AccessKind.READ, "with NX it says so"
    assert X86_64.exceptions.record(cpu(image(0x4), efer=0x500)).syndrome.access_kind is AccessKind.READ


def test_what_was_fetched_is_at_the_address_to_return_to() -> None:
    def fit(cr2: int, code: int) -> Fit:
        memory = image(code, rip=0x4000)
        return X86_64.exceptions.fits(X86_64.exceptions.record(cpu(memory, cr2=cr2)), None).fit

    assert fit(0x4000, 0x14) is Fit.FITS
    assert fit(0x400E, 0x14) is Fit.FITS, "its other half may be in the next page"
    assert fit(0x400F, 0x14) is Fit.CONTRADICTS
    assert fit(0x9000, 0x6) is Fit.NOT_SHOWN


def test_the_command_joins_what_was_written_down_with_the_tables(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "ram").write_bytes(image(0))
    registers = REGISTERS | {"error_code": 0x6}
    file = tmp_path / "registers.json"
    file.write_text(json.dumps({name: hex(value) for name, value in registers.items()}))
    source = ["-s", f"{tmp_path / 'ram'}@0x0", "--registers", str(file)]
    assert main(["fault", *source]) == 1
    said = capsys.readouterr().out
    assert "user write of 0x4000: page fault (#PF): not present, and the tables agree" in " ".join(said.split())
    assert "P [0] = 0 in the level 1 descriptor at PA 0x5020" in said
    file.write_text(json.dumps({name: hex(value) for name, value in REGISTERS.items()} | {"rip": "0x1"}))
    assert main(["fault", *source]) == 3
    assert "stop there, as `catch` does, or give error_code" in capsys.readouterr().err


def test_the_monitor_says_where_the_descriptor_table_is() -> None:
    from gdbtools.arch.model import Stub

    printed = "CPU#0\nGDT=     0 7f\nIDT=     fffffe0000000000 00000fff\nCPU#1\nIDT=     fffffe0000001000 00000fff\n"
    stubs = [Stub(number, {}.get, lambda _: printed, lambda: "7.2") for number in (0, 1, 2)]
    assert [X86_64.from_stub("idtr", each) for each in stubs] == [0xFFFFFE0000000000, 0xFFFFFE0000001000, None]
    assert X86_64.from_stub("cr3", Stub(0, {"cr3": 5}.get, lambda _: "", lambda: "")) == 5


def test_an_error_code_is_decoded_by_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pf", "0x7"]) == 0
    said = capsys.readouterr().out
    assert main(["syndrome", "0x7", "--arch", "x86_64"]) == 0
    assert capsys.readouterr().out == said
    assert "every entry is present" in said


def test_a_vector_is_where_its_gate_says() -> None:
    found = X86_64.exceptions.vectors(cpu(image(0)))
    assert list(found) == [VA(HANDLER)]


def test_a_verdict_advises_what_can_be_done_here(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A page fault has its own CPU's TLB forget the address: there is nothing to invalidate."""
    (tmp_path / "ram").write_bytes(image(0))
    registers = REGISTERS | {"error_code": 0x3, "cr2": 0x8000, "rip": 0x7000}
    file = tmp_path / "registers.json"
    file.write_text(json.dumps({name: hex(value) for name, value in registers.items()}))
    source = ["-s", f"{tmp_path / 'ram'}@0x0", "--registers", str(file)]
    assert main(["fault", *source]) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "the tables permit" in said
    assert "faults no more: the fault has had this CPU forget the address" in said
    assert "mmu tlbi" not in said
    assert main(["walk", *source, "$pc", "$rip", "$pc+0x10"]) == 0
    out = capsys.readouterr().out
    assert re.findall(r"^0x\w+(?= -> )", out, re.MULTILINE) == ["0x7000", "0x7000", "0x7010"]
