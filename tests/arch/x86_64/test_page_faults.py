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
OTHERS = 0xFFFF_8000_0030_0000
"""Where, by the vector, the other handlers are: #DF, #SS and #GP, a page further each."""
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
    for vector, at in ((8, 0x1000), (12, 0x2000), (13, 0x3000)):
        memory[IDT + 16 * vector : IDT + 16 * (vector + 1)] = gate(OTHERS + at, present)
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
    with pytest.raises(Unavailable, match="not at a handler's first instruction"):
        X86_64.exceptions.record(cpu(image(6), rip=HANDLER + 3))
    with pytest.raises(Unavailable, match="cr2, of the last page fault, is 0x4000: `walk 0x4000` says where"):
        X86_64.exceptions.record(cpu(image(6), rip=HANDLER + 3))
    with pytest.raises(Unavailable, match="not at a handler's first instruction"):
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
    assert (
        "cr2, of the last page fault, is 0x4000: `walk 0x4000` says where that leads; live: `mmu catch any`, continue"
        in capsys.readouterr().err
    )


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


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("0x7", "user write, access rights"),
        ("0x10", "supervisor execute, not present"),
        ("0xd", "user read, reserved bit"),
        ("0x25", "user read, protection key"),
    ],
)
def test_the_first_line_of_an_error_code_says_who_wanted_what_and_why_not(capsys, code: str, said: str) -> None:
    assert main(["pf", code]) == 0
    assert capsys.readouterr().out.splitlines()[0] == f"{code}: page fault (#PF): {said}"


@pytest.mark.parametrize(
    ("code", "notes"),
    [
        (0x13, ["I with W"]),
        (0x51, ["I with SS"]),
        (0x31, ["I with PK"]),
        (0x29, ["RSVD with PK"]),
        (0x20, ["PK without P"]),
        (0x11, []),
        (0x23, []),
    ],
)
def test_bits_that_no_cpu_sets_together_are_noted(code: int, notes: list[str]) -> None:
    said = X86_64.exceptions.decode(code).notes
    assert [each.partition(" is of no CPU: ")[0] for each in said] == notes


@pytest.mark.parametrize(("name", "title"), [("pf", "x86-64"), ("scause", "RISC-V (64 bits)")])
def test_a_class_is_of_arms_syndromes_alone(capsys: pytest.CaptureFixture[str], name: str, title: str) -> None:
    assert main([name, "0x7", "--class", "3"]) == 2
    assert capsys.readouterr().err == f"gdbtools: {title} has no classes of exceptions; leave --class out\n"


def test_what_another_cpu_sent_is_pending_and_a_cpus_own_timer_is_not() -> None:
    """As QEMU prints it; that the vector is masked by now does not take back what has been sent."""
    printed = (
        "dumping local APIC state for CPU 0\n\n"
        "LVT0\t 0x00010700 active-hi edge  masked                      ExtINT (vec 0)\n"
        "LVTERR\t 0x000000fe active-hi edge                              Fixed  (vec 254)\n"
        "LVTT\t 0x000100ec active-hi edge  masked       one-shot       Fixed  (vec 236)\n"
        "LVT1\t 0x000004f1 active-hi edge                              NMI\n"
        "ISR\t (none)\nIRR\t 236 241 251\n"
    )
    from gdbtools.arch.model import Stub

    sent = X86_64.from_stub("irr", Stub(0, {}.get, lambda _: printed, lambda: "7.2"))
    assert X86_64.exceptions.pending({"irr": sent}.__getitem__) == [241, 251], "an NMI has no vector"


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
    assert "faults no more: a page fault has its CPU forget what it holds of that address" in said
    assert "mmu tlbi" not in said
    assert main(["walk", *source, "$pc", "$rip", "$pc+0x10"]) == 0
    out = capsys.readouterr().out
    assert re.findall(r"^0x\w+(?= -> )", out, re.MULTILINE) == ["0x7000", "0x7000", "0x7010"]


DOUBLE, STACK_FAULT, PROTECTION = (OTHERS + at for at in (0x1000, 0x2000, 0x3000))


def explained(capsys: pytest.CaptureFixture[str], tmp_path: Path, memory: bytes, **registers: int) -> tuple[int, str]:
    (tmp_path / "ram").write_bytes(memory)
    file = tmp_path / "registers.json"
    file.write_text(json.dumps({name: hex(value) for name, value in (REGISTERS | registers).items()}))
    status = main(["fault", "-s", f"{tmp_path / 'ram'}@0x0", "--registers", str(file)])
    said = capsys.readouterr()
    return status, " ".join((said.out + said.err).split())


CODE = 0x8000
"""Where the code is, in a page that is mapped to itself."""


def interrupted(code: str, error_code: int = 0) -> bytearray:
    """Return memory whose frame leads to these instructions, of supervisor mode."""
    memory = image(error_code, rip=CODE, cs=0x10)
    memory[CODE : CODE + len(bytes.fromhex(code))] = bytes.fromhex(code)
    return memory


@pytest.mark.parametrize(
    ("entry", "name", "code", "registers", "note"),
    [
        (
            PROTECTION, "general protection (#GP)", "8b 07", {"rdi": 1 << 47},
            "[rdi] at 0x8000 leads to 0x800000000000, which is not canonical",
        ),
        (
            STACK_FAULT, "stack fault (#SS)", "8b 45 08", {"rbp": 1 << 60},
            "[rbp+0x8] at 0x8000 leads to 0x1000000000000008, which is not canonical",
        ),
        (
            PROTECTION, "general protection (#GP)", "ff e0", {"rax": 1 << 63, "rbx": 1 << 50, "rcx": 5},
            "not canonical are now rax 0x8000000000000000, rbx 0x4000000000000",
        ),
        (PROTECTION, "general protection (#GP)", "0f 30", {"rax": 3}, "every general register has a canonical one"),
    ],
)  # fmt: skip
def test_what_records_no_address_says_what_may_have_been_it(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    entry: int,
    name: str,
    code: str,
    registers: dict[str, int],
    note: str,
) -> None:
    status, said = explained(capsys, tmp_path, interrupted(code), rip=entry, **registers)
    assert status == 0
    assert said.startswith(f"supervisor {name}: not a matter of the translation tables.")
    assert "no address is recorded" in said
    assert note in said
    assert "address cr2" not in said


def test_an_error_code_that_names_a_descriptor_is_read_as_that(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    _, said = explained(capsys, tmp_path, interrupted("8e d8", 0x28), rip=PROTECTION)
    assert "the error code names descriptor 0x5 of the GDT" in said
    _, said = explained(capsys, tmp_path, interrupted("cd 80", 0x402), rip=PROTECTION)
    assert "the error code names gate 0x80 of the IDT" in said


def test_of_a_double_fault_it_is_said_what_can_be_trusted(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    memory = interrupted("50")
    _, said = explained(capsys, tmp_path, memory, rip=DOUBLE, cr2=0x7FFF_0000 - 8)
    assert said.startswith("supervisor double fault (#DF): not a matter of the translation tables.")
    assert "its stack is its own, IST 1" in said
    assert "of which instruction rip is, nothing says" in said
    assert "cr2 is where the first one's frame would be, below rsp 0x7fff0000" in said
    assert "the entry is not present" in said
    _, said = explained(capsys, tmp_path, memory, rip=DOUBLE, cr2=0x4000)
    assert "cr2 is of the last page fault, of these two or before" in said


@pytest.mark.parametrize(
    ("code", "error_code", "registers", "newer"),
    [
        ("8b 07", 0, {"rdi": 0x4000}, False),
        ("8b 07", 0, {"rdi": 0x3FF8}, False),
        ("8b 07", 0, {"rdi": 0x9000}, True),
        ("8b 07", 0, {"rdi": 0x3FF1}, False),
        ("8b 07", 0, {"rdi": 0x3FF0}, True),
        ("c7 47 10 00 00 00 00", 2, {"rdi": 0x9000}, True),
        ("48 89 14 24", 2, {"rdx": 0}, True),
        # What is not decoded shows nothing.
        ("f3 a4", 2, {"rdi": 0x9000}, False),
        ("ff 37", 0, {"rdi": 0x9000}, False),
    ],
)
def test_cr2_that_the_instruction_does_not_lead_to_is_of_a_later_fault(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    code: str,
    error_code: int,
    registers: dict[str, int],
    newer: bool,
) -> None:
    status, said = explained(capsys, tmp_path, interrupted(code, error_code), **registers)
    assert status == 1
    assert ("but its address is not known: cr2 is 0x4000, and " in said) is newer
    assert ("and the tables agree: the entry is not present" in said) is not newer


def test_two_exceptions_with_one_handler_are_not_taken_for_either(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    memory = interrupted("8b 07")
    memory[IDT + 13 * 16 : IDT + 14 * 16] = gate(HANDLER)
    status, said = explained(capsys, tmp_path, memory)
    assert status == 3
    assert f"#GP and #PF have the same handler, {HANDLER:#x}" in said
