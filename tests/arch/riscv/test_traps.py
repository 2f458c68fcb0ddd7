"""Traps: what a cause says, whose registers a hart's are, who takes what, and how to return."""

from __future__ import annotations

from typing import Any

import pytest

from gdbtools.addresses import VA
from gdbtools.analysis.faults.belonging import Belonging, BelongingEvidence, belonging
from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.model import AccessKind, AddressMeaning, ExceptionRecord, Fault, FaultKind, Return, with_memory
from gdbtools.arch.riscv.privilege_modes import VS, VU, M, S, U
from gdbtools.arch.riscv.syndrome import trap_instruction
from gdbtools.errors import MissingRegister, Refused
from tests.arch.riscv.assembled import WORDS
from tests.arch.riscv.machine import AD, RAM, SV39, Hart, R, V, W, X, paged
from tests.tables import reader

WIDE: Any = ARCHITECTURES["riscv64"].exceptions
NARROW: Any = ARCHITECTURES["riscv32"].exceptions
SPP, SIE, SPIE, SPV, SPVP, GVA = 1 << 8, 1 << 1, 1 << 5, 1 << 7, 1 << 8, 1 << 6
MPP_S, MPP_M, MIE, MPIE, MPRV, MPV = 1 << 11, 3 << 11, 1 << 3, 1 << 7, 1 << 17, 1 << 39
BASE, CODE = 0x1000, 0x2000
USER = 1 << 4
"""What a user may access."""
TIMER = 1 << 63 | 5


@pytest.mark.parametrize(
    ("code", "name", "kind", "access", "stage"),
    [
        (1, "instruction access fault", FaultKind.ACCESS, AccessKind.EXECUTE, 1),
        (4, "load address misaligned", FaultKind.ALIGNMENT, AccessKind.READ, 1),
        (7, "store/AMO access fault", FaultKind.ACCESS, AccessKind.WRITE, 1),
        (12, "instruction page fault", FaultKind.PAGE, AccessKind.EXECUTE, 1),
        (13, "load page fault", FaultKind.PAGE, AccessKind.READ, 1),
        (15, "store/AMO page fault", FaultKind.PAGE, AccessKind.WRITE, 1),
        (20, "instruction guest-page fault", FaultKind.PAGE, AccessKind.EXECUTE, 2),
        (21, "load guest-page fault", FaultKind.PAGE, AccessKind.READ, 2),
        (23, "store/AMO guest-page fault", FaultKind.PAGE, AccessKind.WRITE, 2),
    ],
)
def test_a_fault_has_its_access_and_its_stage_and_neither_level_nor_reason(
    code: int, name: str, kind: FaultKind, access: AccessKind, stage: int
) -> None:
    for decoded in (WIDE.decode(code), NARROW.decode(code)):
        assert (decoded.name, decoded.access_kind, decoded.status) == (name, access, code)
        assert decoded.fault == Fault(kind, stage)
        assert decoded.returns is Return.THIS_INSTRUCTION


def test_a_page_fault_agrees_with_whatever_the_tables_refuse_of_its_stage() -> None:
    page, guests = WIDE.decode(13), WIDE.decode(21)
    for kind in (FaultKind.TRANSLATION, FaultKind.PERMISSION, FaultKind.ACCESS_FLAG, FaultKind.ADDRESS_SIZE):
        for level in (None, 0, 2):
            assert page.agrees(Fault(kind, 1, level))
            assert guests.agrees(Fault(kind, 2, level, s1ptw=level == 0))
            assert not page.agrees(Fault(kind, 2, level))
            assert not guests.agrees(Fault(kind, 1, level))
    assert not page.agrees(Fault(FaultKind.ACCESS, 1, 0)), "physical memory protection has a cause of its own"
    assert WIDE.decode(5).agrees(Fault(FaultKind.ACCESS, 1, 0))
    assert WIDE.decode(5).agrees(Fault(FaultKind.ACCESS, 2, 0)), "of which stage's table, or of what, it does not say"
    assert not WIDE.decode(5).agrees(Fault(FaultKind.PERMISSION, 1, 0))


@pytest.mark.parametrize("bits", [32, 64])
def test_an_interrupt_is_told_from_an_exception_by_the_highest_bit(bits: int) -> None:
    traps = {32: NARROW, 64: WIDE}[bits]
    found = traps.decode(1 << bits - 1 | 5)
    assert (found.name, found.fault, found.returns) == ("supervisor timer interrupt", None, Return.INTERRUPTED)
    assert traps.decode(5).name == "load access fault"
    assert [each.meaning for each in found.word.decoded()] == ["interrupt", "supervisor timer interrupt"]


@pytest.mark.parametrize("value", [14, 17, 24, 63, 1 << 40, 1 << 63 | 4, (1 << 64) - 1])
def test_a_code_without_a_name_is_a_number(value: int) -> None:
    found = WIDE.decode(value)
    assert found.fault is None
    assert str(value & (1 << 63) - 1) in found.name


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (17, "exception 17, reserved"),
        (24, "exception 24, for custom use"),
        (63, "exception 63, for custom use"),
        (64, "exception 64, reserved"),
        (1 << 63, "interrupt 0, reserved"),
        (1 << 63 | 16, "interrupt 16, of the platform"),
    ],
)
def test_a_code_without_a_name_says_whose_it_is(value: int, said: str) -> None:
    assert WIDE.decode(value).name == said


def test_a_cause_of_32_bits_is_noticed_where_there_are_64() -> None:
    assert WIDE.decode(1 << 31 | 5).notes == ("of riscv32 it would be the supervisor timer interrupt",)
    assert NARROW.decode(1 << 31 | 5).notes == ()


@pytest.mark.parametrize(
    ("code", "meaning"),
    [
        (0, AddressMeaning.TARGET),
        (2, AddressMeaning.INSTRUCTION),
        (3, AddressMeaning.BREAKPOINT),
        (8, AddressMeaning.ZERO),
        (12, AddressMeaning.FETCHED),
        (15, AddressMeaning.ACCESSED),
        (18, AddressMeaning.CODE),
        (22, AddressMeaning.INSTRUCTION),
    ],
)
def test_what_xtval_holds_is_the_causes_to_say(code: int, meaning: AddressMeaning) -> None:
    assert WIDE.decode(code).address is meaning


def hart(**registers: int) -> dict[str, int]:
    """Return a hart in S-mode at its vector, which took a load page fault from U-mode."""
    known = {
        "priv": 1,
        "scause": 13,
        "stval": 0x123,
        "sepc": CODE,
        "sstatus": 0,
        "stvec": BASE,
        "satp": 0,
        "pc": BASE,
    }
    return {**known, "mstatus": 0, **registers}


def record(**registers: int) -> ExceptionRecord:
    found: ExceptionRecord = WIDE.record(reader(hart(**registers)))
    return found


@pytest.mark.parametrize(
    ("registers", "target", "origin", "regime", "cause"),
    [
        ({}, S, U, "s", "scause"),
        ({"sstatus": SPP}, S, S, "s", "scause"),
        ({"priv": 0}, S, U, "s", "scause"),
        ({"hstatus": SPV}, S, VU, "vs", "scause"),
        ({"hstatus": SPV, "sstatus": SPP}, S, VS, "vs", "scause"),
        ({"virt": 1, "vscause": 13, "vstval": 1, "vsepc": 2, "vsstatus": SPP}, VS, VS, "vs", "vscause"),
        ({"virt": 1, "priv": 0, "vscause": 13, "vstval": 1, "vsepc": 2, "vsstatus": 0}, VS, VU, "vs", "vscause"),
        ({"priv": 3, "mcause": 13, "mtval": 1, "mepc": 2, "mstatus": MPP_S}, M, S, "s", "mcause"),
        ({"priv": 3, "mcause": 13, "mtval": 1, "mepc": 2, "mstatus": MPP_S | MPV}, M, VS, "vs", "mcause"),
        ({"priv": 3, "mcause": 7, "mtval": 1, "mepc": 2, "mstatus": MPP_M}, M, M, "m", "mcause"),
    ],
)
def test_the_registers_are_those_of_the_mode_that_takes_the_traps(
    registers: dict[str, int], target: int, origin: int, regime: str, cause: str
) -> None:
    found = record(**registers)
    assert (found.target, found.origin, found.regime, found.names.syndrome) == (target, origin, regime, cause)


@pytest.mark.parametrize(
    ("flags", "pc", "origin"),
    [
        (V | R | X | AD, 0x9000, S),
        (V | R | X | USER | AD, 0x9000, U),
        (0, 0x9000, None),
        (V | R | X | AD, BASE, U),
    ],
)
def test_a_user_as_the_previous_mode_is_believed_where_nothing_has_returned_since(
    flags: int, pc: int, origin: int | None
) -> None:
    """An sret leaves SPP as a trap from U-mode does: what is executed at sepc tells the two apart."""
    made = paged(flags)
    known = {**made.regs, **hart(sepc=0, pc=pc, satp=made.regs["satp"])}
    assert WIDE.record(with_memory(reader(known), made.read)).origin == origin
    assert WIDE.record(reader(known)).origin == (U if pc == BASE else None), "without memory nobody knows"


def test_an_access_by_hlv_is_the_guests_although_the_hypervisor_made_it() -> None:
    for state, mode in ((SPVP, VS), (0, VU)):
        found = record(sstatus=SPP, hstatus=GVA | state)
        assert (found.origin, found.asked, found.regime) == (S, mode, "vs")
    assert record(sstatus=SPP, hstatus=SPVP).asked == S, "SPVP counts for HLV alone, and stval is none of a guest's"


def test_a_page_fault_of_m_modes_own_can_only_be_through_mprv() -> None:
    found = record(priv=3, mcause=13, mtval=1, mepc=2, mstatus=MPP_M | MPRV)
    assert (found.origin, found.asked, found.regime) == (M, S, "s")


def test_where_nobody_says_the_mode_the_registers_that_there_are_do() -> None:
    registers = {"mcause": 5, "mtval": 1, "mepc": 2, "mstatus": MPP_S}
    assert WIDE.record(reader(registers)).target == M
    assert WIDE.record(reader({"scause": 5, "stval": 1})).target == S


def test_what_a_verdict_needs_and_lacks_is_named_at_once() -> None:
    with pytest.raises(MissingRegister, match=r"scause, stval, satp"):
        WIDE.record(lacking({"priv": 1}))


def lacking(values: dict[str, int]) -> Any:
    def read(name: str) -> int:
        if name not in values:
            raise MissingRegister("this file has", (name,), "give it")
        return values[name]

    return read


@pytest.mark.parametrize(
    ("medeleg", "hedeleg", "hstatus", "taker", "names"),
    [
        (0, 0, 0, M, ["medeleg"]),
        (1 << 13, 0, 0, S, ["medeleg"]),
        (1 << 13, 0, SPV, S, ["medeleg", "hedeleg"]),
        (1 << 13, 1 << 13, SPV, VS, ["medeleg", "hedeleg"]),
        (0, 1 << 13, SPV, M, ["medeleg"]),
        (1 << 15, 0, 0, M, ["medeleg"]),
    ],
)
def test_delegation_says_who_takes_it(medeleg: int, hedeleg: int, hstatus: int, taker: int, names: list[str]) -> None:
    found = record(medeleg=medeleg, hedeleg=hedeleg, hstatus=hstatus)
    assert (found.routed_to, [name for name, _ in found.routing]) == (taker, names)
    assert all(control.field.name == "E13" for _, control in found.routing)


def test_nothing_is_said_of_delegation_where_its_register_is_not_there() -> None:
    found = record()
    assert (found.routed_to, found.routing) == (None, ())
    assert record(scause=TIMER, medeleg=0).routed_to is None, "it is about exceptions"


def test_a_guest_page_fault_has_what_htval_and_htinst_say() -> None:
    plain = record(scause=21, hstatus=SPV | GVA, htval=0x3010 >> 2, htinst=0)
    assert (plain.ipa, plain.syndrome.fault) == (0x3010, Fault(FaultKind.PAGE, 2))
    assert any("does not say" in note for note in plain.syndrome.notes)
    walk = record(scause=21, hstatus=SPV | GVA, htval=0x4008 >> 2, htinst=0x3000)
    assert (walk.ipa, walk.syndrome.fault) == (0x4008, Fault(FaultKind.PAGE, 2, s1ptw=True))
    assert record(scause=21, hstatus=SPV | GVA, htval=0, htinst=0).ipa is None, "0 is no address"
    assert record(hstatus=SPV, htval=0x3010 >> 2).ipa is None, "of a page fault it is left from before"


@pytest.mark.parametrize(
    ("value", "walk"),
    [(0, None), (0x2000, True), (0x2020, True), (0x3000, True), (0x3020, True), (0x3001, False), (6, None), (4, None)],
)
def test_a_pseudoinstruction_names_the_reading_of_a_table(value: int, walk: bool | None) -> None:
    assert trap_instruction.decode(value).walk is walk


def test_a_transformed_instruction_has_what_would_have_been_moved() -> None:
    transformed = WORDS["lb a0, -4(a1)"] & 0x7FFF
    found = trap_instruction.decode(transformed)
    assert found.transfer is not None
    assert (found.transfer.size_bytes, found.transfer.register, found.transfer.signed) == (1, "a0", True)
    # sd a2, 0(x0): without its offset, and of two bytes as bit 1 says.
    compressed = trap_instruction.decode(12 << 20 | 3 << 12 | 0x21)
    assert compressed.transfer is not None
    assert (compressed.transfer.size_bytes, compressed.transfer.register) == (8, "a2")


def stands(**registers: int) -> Belonging:
    known = hart(**registers)
    read = paged(V | R | W | X | AD).read
    return belonging(ARCHITECTURES["riscv64"], reader(known), read, WIDE.record(reader(known)))


@pytest.mark.parametrize(
    ("registers", "entry"),
    [
        ({"pc": BASE}, "stvec"),
        ({"pc": BASE, "scause": TIMER}, "stvec"),
        ({"pc": BASE, "stvec": BASE | 1}, "stvec, exceptions"),
        ({"pc": BASE + 20, "stvec": BASE | 1, "scause": TIMER}, "stvec, supervisor timer interrupt"),
        ({"pc": BASE, "sstatus": SPIE | SPP}, "stvec"),
    ],
)
def test_at_the_entry_the_registers_are_the_current_traps(registers: dict[str, int], entry: str) -> None:
    found = stands(**registers)
    assert (found.evidence, found.entry) == (BelongingEvidence.AT_ENTRY, entry)


@pytest.mark.parametrize(
    ("registers", "said"),
    [
        ({"pc": BASE, "sstatus": SIE}, "SIE is 1"),
        ({"pc": BASE, "stvec": BASE | 1, "scause": TIMER}, "stvec, exceptions"),
        ({"pc": BASE + 20, "stvec": BASE | 1}, "load page fault"),
        ({"pc": BASE + 20, "stvec": BASE | 1, "scause": 1 << 63 | 9}, "supervisor external interrupt"),
    ],
)
def test_at_an_entry_that_it_cannot_have_come_to_a_trap_is_another(registers: dict[str, int], said: str) -> None:
    found = stands(**registers)
    assert found.evidence is BelongingEvidence.CONTRADICTS
    assert said in found.reason


def test_elsewhere_it_is_the_last_one() -> None:
    assert stands(pc=BASE + 4).evidence is BelongingEvidence.NOT_SHOWN
    assert stands(pc=BASE + 20, stvec=BASE).last, "direct vectors have one entry"


def agreed(code: int, instruction: int | None, **registers: int) -> tuple[str, str]:
    known = hart(scause=code, **registers)
    general = {"a1": 0x127, "a5": 0x12B, "a0": 0x123, **known}
    found = WIDE.fits(WIDE.record(reader(known)), instruction, reader(general))
    return found.fit.name, found.reason


@pytest.mark.parametrize(
    ("code", "text", "fit"),
    [
        (13, "lb a0, -4(a1)", "FITS"),
        (13, "lr.d a0, (a1)", "CONTRADICTS"),
        (15, "sd a2, -8(a5)", "FITS"),
        (13, "sd a2, -8(a5)", "CONTRADICTS"),
        (15, "lb a0, -4(a1)", "CONTRADICTS"),
        (15, "cbo.zero (a0)", "FITS"),
        (15, "addi a1, a1, 8", "CONTRADICTS"),
        (8, "ecall", "FITS"),
        (8, "nop", "CONTRADICTS"),
        (3, "c.ebreak", "FITS"),
        (3, "nop", "NOT_SHOWN"),
        (22, "nop", "CONTRADICTS"),
    ],
)
def test_the_instruction_at_sepc_shows_whether_it_can_have_raised_it(code: int, text: str, fit: str) -> None:
    assert agreed(code, WORDS[text])[0] == fit


def test_a_fetch_is_refused_where_it_begins_or_at_its_second_half() -> None:
    assert agreed(12, None, stval=CODE)[0] == "FITS"
    assert agreed(12, None, stval=CODE + 2)[0] == "FITS"
    assert agreed(12, None, stval=CODE + 4)[0] == "CONTRADICTS"
    assert agreed(12, None, stval=0)[0] == "NOT_SHOWN"


def test_an_illegal_instruction_is_the_one_in_stval() -> None:
    assert agreed(2, WORDS["sret"], stval=WORDS["sret"])[0] == "FITS"
    assert agreed(2, WORDS["sret"], stval=WORDS["mret"])[0] == "CONTRADICTS"
    assert agreed(2, WORDS["sret"], stval=0)[0] == "NOT_SHOWN"


def trapped(code: int, text: str, **registers: int) -> list[str]:
    known = hart(scause=code, stval=WORDS[text], sstatus=SPP, **registers)
    found = WIDE.trap_controls(WIDE.record(reader(known)), reader(known))
    return [f"{name}.{control.field.name}" for name, control in found]


def test_a_trapped_fence_or_return_names_its_control() -> None:
    tvm, tsr = 1 << 20, 1 << 22
    assert trapped(2, "sfence.vma a0", mstatus=tvm) == ["mstatus.TVM"]
    assert trapped(2, "csrw satp, a0", mstatus=tvm) == ["mstatus.TVM"]
    assert trapped(2, "sret", mstatus=tvm | tsr) == ["mstatus.TSR"]
    assert trapped(22, "sfence.vma a0", hstatus=SPV | tvm) == ["hstatus.VTVM"]
    assert trapped(2, "sret") == []
    assert trapped(2, "hlv.d a0, (a1)", mstatus=tvm | tsr) == []


def back(**registers: int) -> dict[str, int] | None:
    found = WIDE.way_back(reader(hart(**registers)), None)
    return None if found is None else dict(found)


def test_returning_is_what_sret_would_set() -> None:
    assert back(sstatus=SPP | SPIE) == {"sstatus": SIE | SPIE, "priv": 1, "pc": CODE}
    assert back(sstatus=1 << 18) == {"sstatus": 1 << 18 | SPIE, "priv": 0, "pc": CODE}


def test_returning_from_m_mode_is_what_mret_would_set() -> None:
    known = {"priv": 3, "mepc": CODE, "mcause": 13}
    assert back(**known, mstatus=MPP_S | MPIE | MPRV) == {"mstatus": MIE | MPIE, "priv": 1, "pc": CODE}
    assert back(**known, mstatus=MPP_M | MPRV) == {"mstatus": MPIE | MPRV, "priv": 3, "pc": CODE}


def test_into_a_guest_only_an_instruction_returns() -> None:
    assert back(hstatus=SPV) is None
    assert back(virt=1) is None
    with pytest.raises(Refused, match="by an MRET alone"):
        back(priv=3, mepc=CODE, mstatus=MPP_S | MPV)
    assert WIDE.way_back(reader(hart(hstatus=SPV)), VA(0x4444)) == {"pc": 0x4444}


def test_faults_of_a_regime_come_in_where_they_are_delegated_to() -> None:
    vectors = {"stvec": BASE, "mtvec": 0x5000, "vstvec": 0x7000}
    pages, guests = 1 << 12 | 1 << 13 | 1 << 15, 1 << 20 | 1 << 21 | 1 << 23

    def entries(regime: str, **more: int) -> dict[int, str]:
        return dict(WIDE.vectors(reader(hart(**vectors, **more)), regime))

    assert entries("s", medeleg=pages) == {BASE: "stvec"}
    assert entries("s", medeleg=0) == {0x5000: "mtvec"}
    assert entries("s", medeleg=1 << 13) == {BASE: "stvec", 0x5000: "mtvec"}
    assert entries("vs", medeleg=pages, hedeleg=pages) == {0x7000: "vstvec"}
    assert entries("g", medeleg=pages | guests, hedeleg=pages) == {BASE: "stvec"}


def test_that_no_trap_has_been_taken_is_told_by_registers_that_are_0() -> None:
    assert record(scause=0, stval=0, sepc=0).untaken == ("scause", "stval", "sepc")
    assert record(scause=0, stval=2, sepc=0).untaken == ()


def test_the_memory_of_a_hart_is_what_its_tables_say() -> None:
    """The instruction is read through the regime of the mode that it ran in."""
    made: Hart = paged(V | R | W | X | AD)
    made.memory[RAM + 0x40_0000] = WORDS["lb a0, -4(a1)"]
    known = {**made.regs, **hart(sepc=0, pc=0x9000, sstatus=SPP, satp=SV39 << 60 | RAM >> 12)}
    found = belonging(ARCHITECTURES["riscv64"], reader(known), made.read, WIDE.record(reader(known)))
    assert found.evidence is BelongingEvidence.FITS
