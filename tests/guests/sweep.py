"""Real traps: one bit of one control register away from where nothing traps, and every instruction that traps for it.

What there is to run is found by running it, at each level: in AArch64 each encoding that binutils have a name for, in
AArch32 each encoding of coprocessors 14 and 15.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache

from gdbtools.arch.aarch64.syndrome import EC
from tests.guests.assembly import ENCODINGS, Code, assemble
from tests.guests.controls import EVERY_CASE, SCTLR_EL1, bits
from tests.guests.syndromes import (
    AARCH32,
    AARCH32_SUPERVISOR,
    AARCH32_USER,
    CODE,
    DAIF,
    DATA,
    EL0T,
    EL1H,
    EL2H,
    HCR_RW,
    Case,
    Record,
    Syndromes,
)
from tests.guests.triggers.aarch32 import Instruction, mcr, mcrr, mrc, mrrc
from tests.guests.triggers.model import AT

# UCI, nTWE, nTWI, UCT, DZE, UMA, EnRCTX, EnALS, EnAS0, EnASR, EnTP2, MSCEn, EnFPM, ATA0, ATA; without TSCXT
EL0_MAY = SCTLR_EL1 & ~bits(20) | bits(9, 10, 14, 15, 16, 18, 26, 33, 34, 42, 43, 54, 55, 56, 60)
ALLOWED = {"SCTLR_EL1": EL0_MAY, "MDSCR_EL1": 0, **EVERY_CASE}
"""Under which EL0 may do what it may be allowed to; besides `BASE`."""
CONTROLS = {
    2: (
        "HCR_EL2",
        "HCRX_EL2",
        "CPTR_EL2",
        "MDCR_EL2",
        "CNTHCTL_EL2",
        "HSTR_EL2",
        "HFGRTR_EL2",
        "HFGWTR_EL2",
        "HFGITR_EL2",
        "HDFGRTR_EL2",
        "HDFGWTR_EL2",
        "HAFGRTR_EL2",
        "ICH_HCR_EL2",
        "CPACR_EL1",
        "SCTLR_EL1",
        "CNTKCTL_EL1",
        "PMUSERENR_EL0",
        "MDSCR_EL1",
    ),
    3: ("SCR_EL3", "CPTR_EL3", "MDCR_EL3"),
}
"""What each level of the guest sweeps."""
STATES = {
    2: (EL0T, EL1H, AARCH32_USER, AARCH32_SUPERVISOR),
    3: (EL1H, EL2H),
}
"""PSTATE.M of the levels that each sweeps them for."""
OF_ENCODINGS = {("HCR_EL2", number) for number in (20, 42, 43, 45)}
"""TIDCP, NV, NV1, NV2: what traps encodings that are UNDEFINED otherwise."""
WFI, WFE = ("wfi", "wfit x4"), ("wfe", "wfet x4")
WAITS = {
    ("HCR_EL2", 13): WFI,
    ("HCR_EL2", 14): WFE,
    ("SCTLR_EL1", 16): WFI,
    ("SCTLR_EL1", 18): WFE,
    ("SCR_EL3", 12): WFI,
    ("SCR_EL3", 13): WFE,
}
"""What would wait for ever without the bit, which therefore is all that it is tried with; EL1 is not SCTLR_EL1's."""
OTHERS = (
    "svc #1",
    "hvc #1",
    "smc #1",
    "fmov d0, x3",
    "add v0.4s, v1.4s, v2.4s",
    "ptrue p0.b",
    "rdsvl x3, #1",
    "pacia x3, x4",
    "autia x3, x4",
    "pacga x3, x4, x5",
    "ldg x3, [x6]",
    "stg x3, [x6]",
    "irg x3, x4",
    "ld64b x8, [x6]",
    "brk #1",
    "cpyp [x6]!, [x7]!, x5!; cpym [x6]!, [x7]!, x5!; cpye [x6]!, [x7]!, x5!",
    "setp [x6]!, x5!, x4; setm [x6]!, x5!, x4; sete [x6]!, x5!, x4",
    "adr x9, 1f; msr ELR_EL1, x9; mov x9, #0x3c5; msr SPSR_EL1, x9; eret; 1:",
)
OTHERS_AARCH32 = (
    Instruction(0xEF000001, "SVC #1"),
    Instruction(0xE1400071, "HVC #1"),
    Instruction(0xE1600071, "SMC #1"),
    Instruction(0xE1200071, "BKPT #1"),
    Instruction(0xEE003A10, "VMOV S0, R3"),
    Instruction(0xF2000D00, "VADD.F32 D0, D0, D0"),
    *(Instruction(0xEEF03A10 | reg << 16, f"VMRS R3, #{reg}") for reg in (0, 1, 5, 6, 7, 8)),
)
X = {3: 0, 4: 1 << 63, 6: DATA, 7: DATA + 0x100}
RT, ADDRESS = 3, 6
MRS, MSR, SYS, IMMEDIATE = 0xD5200000, 0xD5000000, 0xD5080000, 0xD500401F
READS_TO_WRITES = MRS ^ MSR


@dataclass(frozen=True)
class Operation:
    """Instructions at a level, with values for their registers, and how they end where nothing traps."""

    state: int
    code: Code
    x: dict[int, int]
    usual: Record | None = None

    @property
    def el(self) -> int:
        return int(self.state == AARCH32_SUPERVISOR) if self.state & AARCH32 else self.state >> 2

    def like(self, record: Record) -> bool:
        """Return whether it ended as it usually does."""
        keys = ("target", "esr", "elr")
        return self.usual is not None and all(getattr(record, key) == getattr(self.usual, key) for key in keys)


@dataclass(frozen=True)
class Bit:
    """One bit of a control register, and the register's value with that bit alone turned over."""

    register: str
    number: int
    value: int


@dataclass(frozen=True)
class Trap:
    """An instruction that raised an exception because of a bit, and the exception."""

    el: int
    text: str
    record: Record


def encoded(read: bool, op0: int, op1: int, crn: int, crm: int, op2: int) -> int:
    return (MRS if read else MSR) | op0 << 19 | op1 << 16 | crn << 12 | crm << 8 | op2 << 5 | RT


def texts(words: Sequence[int]) -> list[str]:
    """Disassemble."""
    code = assemble(["\n".join(f".inst {word:#x}" for word in words)])[0]
    return [" ".join(text.partition("//")[0].split()) for text in code.text]


@cache
def named() -> tuple[Code, ...]:
    """Return every MRS, MSR and System instruction that binutils, or `ENCODINGS`, have a name for."""
    eight, sixteen = range(8), range(16)
    places = [(op1, crn, crm, op2) for op1 in eight for crn in sixteen for crm in sixteen for op2 in eight]
    words = [encoded(read, op0, *place) for read in (True, False) for op0 in (2, 3) for place in places]
    operations = [encoded(False, 1, *place) for place in places if place[1] in (7, 8)]
    # What takes no register has XZR in its encoding.
    takes = [f"x{RT}" in text for text in texts(operations)]
    words += [word if taken else word | 0x1F for word, taken in zip(operations, takes, strict=True)]
    words += [
        IMMEDIATE | op1 << 16 | crm << 8 | op2 << 5 for op1 in (0, 1, 3) for op2 in eight for crm in (0, 1, 2, 4, 6)
    ]
    known = "|".join(each.lower() for each in ENCODINGS.values())
    unnamed = re.compile(rf"(?!.*\b({known})\b)(.*\bs\d_\d_c\d+_c\d+_\d|sysl? #|\.inst|hint)")
    return tuple(
        Code((word,), 0, (text,)) for word, text in zip(words, texts(words), strict=True) if not unnamed.match(text)
    )


@cache
def coprocessors() -> tuple[tuple[Code, ...], tuple[Code, ...]]:
    """Return every MRC and MRRC of p14 and p15 that is for EL0 or EL1, and the MCR and MCRR of the same places."""
    eight, sixteen = range(8), range(16)
    reads, writes = [], []
    for coproc, opcodes in ((14, (0, 7)), (15, (0, 1, 2, 3))):
        places = [
            (opc1, RT, crn, crm, opc2) for opc1 in opcodes for crn in sixteen for crm in sixteen for opc2 in eight
        ]
        pairs = [(opc1, RT, 5, crm) for opc1 in sixteen for crm in sixteen]
        reads += [mrc(coproc, *place) for place in places] + [mrrc(coproc, *pair) for pair in pairs]
        writes += [mcr(coproc, *place) for place in places] + [mcrr(coproc, *pair) for pair in pairs]
    codes = [[Code((each.word,), 0, (each.text,)) for each in instructions] for instructions in (reads, writes)]
    return tuple(codes[0]), tuple(codes[1])


class Sweep:
    """What a guest can run at the levels below its own, and which bits of its controls it has."""

    def __init__(self, guest: Syndromes) -> None:
        self.guest = guest
        needs = {AARCH32_USER: "AA32EL0", AARCH32_SUPERVISOR: "AA32EL1"}
        self.states = [state for state in STATES[guest.level] if guest.has(needs.get(state, ""))]
        self.registers = self._controls()
        found = [operation for state in self.states for operation in self._found(state)]
        self.operations = [each for each in found if each.usual and each.usual.ec != EC.UNKNOWN]
        self.undefined = [each for each in found if each.usual and each.usual.ec == EC.UNKNOWN]

    def _controls(self) -> dict[str, int]:
        """Return every control register that there is, with its value where nothing traps."""
        names = [*CONTROLS[2], *(CONTROLS[3] if self.guest.level == 3 else ())]
        records = self.guest.run([self._reading(name) for name in names])
        read = {name: each.x[RT] for name, each in zip(names, records, strict=True) if each and each.completed}
        return {name: ALLOWED.get(name, value) for name, value in read.items()}

    def _reading(self, name: str, registers: dict[str, int] | None = None) -> Case:
        return Case(f"mrs x{RT}, {name}", AT[self.guest.level] | DAIF, registers or {})

    def _run(self, operations: Sequence[Operation], registers: dict[str, int]) -> list[Record | None]:
        wide = {"SCTLR_EL1": EL0_MAY, "HCR_EL2": EVERY_CASE["HCR_EL2"], **registers}
        narrow = {**wide, "HCR_EL2": wide["HCR_EL2"] & ~HCR_RW}
        cases = [
            Case("", each.state | DAIF, narrow if each.state == AARCH32_SUPERVISOR else wide, each.x)
            for each in operations
        ]
        return self.guest.run_code(cases, [each.code for each in operations], 0.5)

    def _found(self, state: int) -> Iterator[Operation]:
        """Yield what does not hang at a level, with how it ends; of AArch32, what comes through."""
        if state & AARCH32:
            reads, writes = coprocessors()
            others = [Code((each.word,), 0, (each.text,)) for each in OTHERS_AARCH32]
        else:
            reads = tuple(code for code in named() if code.words[0] & MRS == MRS)
            writes = tuple(code for code in named() if code.words[0] & MRS != MRS)
            others = assemble(OTHERS)
        asked = [Operation(state, code, X) for code in reads]
        records = self._run(asked, {})
        values = {
            self._write_of(code): record.x[RT]
            for code, record in zip(reads, records, strict=True)
            if record and record.completed
        }
        if state & AARCH32:
            writes = tuple(code for code in writes if code.words[0] in values)
        rest = [
            Operation(state, code, {**X, RT: values.get(code.words[0], self._usual_value(code))}) for code in writes
        ]
        rest += [Operation(state, code, X) for code in others]
        for operation, record in zip([*asked, *rest], [*records, *self._run(rest, {})], strict=True):
            if record is not None and not (state & AARCH32 and record.ec == EC.UNKNOWN):
                yield replace(operation, usual=record)

    def _write_of(self, code: Code) -> int:
        """Return the write at the place of a read: in AArch32, bit 20 says which it is."""
        word = code.words[0]
        return word & ~READS_TO_WRITES if word >> 24 == 0xD5 else word & ~(1 << 20)

    def _usual_value(self, code: Code) -> int:
        """System instructions get an address, and registers that cannot be read get 0."""
        return DATA if code.words[0] & 0xFFF80000 == SYS else 0

    def bits(self) -> Iterator[Bit]:
        """Yield the bits of this guest's controls, as far as they can be turned over."""
        for name in CONTROLS[self.guest.level]:
            if name not in self.registers:
                continue
            turned = [Bit(name, number, self.registers[name] ^ 1 << number) for number in range(64)]
            if name in EVERY_CASE:  # which the guest sets to other values before it can be asked
                yield from turned
                continue
            records = self.guest.run([self._reading(name, {name: bit.value}) for bit in turned])
            for bit, record in zip(turned, records, strict=True):
                if record and record.completed and not (record.x[RT] ^ bit.value) >> bit.number & 1:
                    yield bit

    def traps(self, bit: Bit) -> Iterator[Trap]:
        """Run everything with one bit turned over; a level at which nothing can run then is left out."""
        registers = {bit.register: bit.value}
        nothing = [Operation(state, Code((), 0, ()), {}) for state in self.states]
        ran = zip(nothing, self._run(nothing, registers), strict=True)
        alive = [each.state for each, record in ran if record and record.completed]
        more = self.undefined if (bit.register, bit.number) in OF_ENCODINGS else []
        asked = [each for each in (*self.operations, *more) if each.state in alive]
        for code in assemble(WAITS.get((bit.register, bit.number), ())):
            waiting = [
                state for state in alive if not state & AARCH32 and (state == EL0T or bit.register != "SCTLR_EL1")
            ]
            asked += [Operation(state, code, X) for state in waiting]
        for operation, record in zip(asked, self._run(asked, registers), strict=True):
            if record is not None and not record.completed and not operation.like(record):
                yield Trap(operation.el, self._text(operation, record), record)

    def _text(self, operation: Operation, record: Record) -> str:
        """Return the instruction that ELR leads to, or that alone there is."""
        index = (record.elr - CODE) // 4
        text = operation.code.text
        return text[index] if 0 <= index < len(text) else text[0]
