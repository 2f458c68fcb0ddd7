"""One state's accesses: what the manual's rules, with and without QEMU's departures, and QEMU itself make of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from gdbtools.errors import Unreadable
from tests.guests.riscv import ours
from tests.guests.riscv.departures import Known
from tests.guests.riscv.oracle import (
    DATA,
    DATA_BYTES,
    FROM_STUB,
    MPP_S,
    MPRV,
    MPV,
    RAM,
    RAM_BYTES,
    REQUEST_BYTES,
    REQUESTS,
    STORES,
    Answer,
    Operation,
    Request,
    RiscvOracle,
    word_at,
)
from tests.guests.riscv.qemu import QemuRules
from tests.guests.riscv.rules import Hardware, Implicit, Kind, Refused, Rules, Touch
from tests.guests.riscv.states import State

ILLEGAL_INSTRUCTION = 2
GVA = 1 << 38
PSEUDOINSTRUCTIONS = {
    (32, Implicit.READ): 0x2000,
    (32, Implicit.WRITE): 0x2020,
    (64, Implicit.READ): 0x3000,
    (64, Implicit.WRITE): 0x3020,
}
"""mtinst of a guest-page fault on the way to a table of VS-stage."""
ONLY_STORES = (Operation.STORE, Operation.HSV_U, Operation.HSV_S, Operation.STUB_STORE)
BY_USER = (Operation.HLV_U, Operation.HLVX_U, Operation.HSV_U)
BY_SUPERVISOR = (Operation.HLV_S, Operation.HLVX_S, Operation.HSV_S)


@dataclass(frozen=True)
class Seen:
    """What an access comes to: an exception as M-mode's registers tell it, or the place that was touched."""

    cause: int | None = None
    tval: int = 0
    tval2: int = 0
    pseudoinstruction: int = 0
    gva: bool = False
    pa: int | None = None
    missing: bool = field(default=False, compare=False)
    """No memory is there."""

    def __str__(self) -> str:
        if self.cause is None:
            return f"touches {self.pa:#x}" if self.pa is not None else "touches something else"
        extra = f" mtinst {self.pseudoinstruction:#x}" if self.pseudoinstruction else ""
        return f"cause {self.cause} mtval {self.tval:#x} mtval2 {self.tval2:#x}{extra} GVA {int(self.gva)}"


@dataclass(frozen=True)
class Case:
    """One question and what there is to compare; `departed` names what lies between the manual and QEMU."""

    request: Request
    by_manual: Seen
    by_qemu: Seen
    departed: tuple[Known, ...]
    word: int
    trail: tuple[str, ...]
    ours: ours.Answer | None
    """gdbtools' own answer; None where it does not decode the architecture."""

    @property
    def is_unknown(self) -> bool:
        """Return whether gdbtools had to read a table where no memory is, be it after what decides."""
        return self.ours is not None and self.ours.cause is None and self.ours.pa is None

    @property
    def is_ours_right(self) -> bool:
        """Return whether gdbtools says what the manual says, or that it cannot know: where no memory is, it cannot."""
        if self.ours is None or self.by_manual.missing or self.is_unknown:
            return True
        manual = (self.by_manual.cause, self.by_manual.pa, self.by_manual.tval2, bool(self.by_manual.pseudoinstruction))
        return manual == (self.ours.cause, self.ours.pa, self.ours.gpa >> 2, self.ours.implicit)


def hardware_of(oracle: RiscvOracle) -> Hardware:
    wide, old = oracle.bits == 64, oracle.version == "7.2"
    return Hardware(
        oracle.bits,
        range(RAM, RAM + RAM_BYTES),
        svnapot=wide,
        svpbmt=wide,
        svadu=None if old else True,
    )


def touches(request: Request, stub_va: tuple[int, int]) -> Iterator[Touch]:
    """Yield what is touched, in order: the stub's instruction first, where it is one of the stub's."""
    operation, mstatus = request.operation, request.mstatus
    user = not mstatus & MPP_S
    kind = Kind.STORE if operation in STORES else Kind.FETCH if operation is Operation.JUMP else Kind.LOAD
    by_mprv = bool(mstatus & MPRV)
    touch = Touch(request.va, kind, user, bool(mstatus & MPV), mstatus, borrowed=by_mprv, by_mprv=by_mprv)
    if operation in FROM_STUB:
        yield replace(touch, va=stub_va[user] + 8 * operation, kind=Kind.FETCH)
    if operation in BY_USER:
        touch = replace(touch, user=True, virtual=True, borrowed=True)
    elif operation in BY_SUPERVISOR:
        touch = replace(touch, user=False, virtual=True, borrowed=True)
    executable = operation in (Operation.HLVX_U, Operation.HLVX_S)
    yield replace(touch, executable=executable, swap=operation in (Operation.SWAP, Operation.STUB_SWAP))


def said(rules: Rules, request: Request, stub_va: tuple[int, int]) -> Seen:
    """Return what the rules make of a request."""
    pa = None
    for touch in touches(request, stub_va):
        try:
            pa = rules.access(touch)
        except Refused as refused:
            pseudo = PSEUDOINSTRUCTIONS[rules.hardware.bits, refused.implicit] if refused.implicit else 0
            gva = touch.virtual
            if isinstance(rules, QemuRules) and touch.virtual and touch.borrowed and rules.departs(Known.GVA_UNSET):
                gva = False
            return Seen(refused.cause, rules.va, refused.gpa >> 2, pseudo, gva, missing=refused.missing)
    return Seen(pa=pa)


class Comparison:
    """One state's accesses, one after another: what each leaves in tables and data is there for the next."""

    def __init__(self, oracle: RiscvOracle, state: State) -> None:
        self.oracle, self.state = oracle, state
        for pa, page in state.pages.items():
            oracle.write(pa, page)
        self.registers = oracle.set(state.registers)
        hardware = hardware_of(oracle)
        self.qemu = QemuRules(hardware, self.registers, self._read, version=oracle.version)
        self.manual = Rules(hardware, self.registers, self._read)
        self.words: dict[int, int] = {}
        self.stale_gva = 0

    def _read(self, pa: int, size_bytes: int) -> int:
        return int.from_bytes(self.oracle.read(pa, size_bytes), "little")

    def _word(self, pa: int) -> int:
        """Return the word that a load would find, were it asked after all that were predicted so far."""
        if pa in self.words:
            return self.words[pa]
        for at, entry in self.qemu.entries.items():
            if at <= pa < at + self.oracle.bits // 8:
                return entry >> 8 * (pa - at) & 0xFFFFFFFF
        return self._read(pa, 4)

    def not_asked(self, request: Request) -> str:
        """Return why a request is not put to this QEMU, or nothing."""
        if self.oracle.version == "7.2" and request.mstatus & MPRV and request.va & -4096 == RAM:
            return "QEMU 7.2 finds the guest's own page in the TLB, where M-mode's accesses and those by MPRV are one"
        return ""

    def predict(self, request: Request, number: int) -> Case | None:
        """Return what is to be expected of the next request; None where it would touch what is not the test's."""
        before = dict(self.qemu.entries)
        self.manual.entries = dict(before)
        own = self._ours(request)
        self.qemu.fired.clear()
        self.qemu.trail.clear()
        by_manual = said(self.manual, request, self.state.stub_va)
        by_qemu = said(self.qemu, request, self.state.stub_va)
        trail = tuple(self.qemu.trail)
        changes = request.operation in STORES or request.operation is Operation.JUMP
        if changes and by_qemu.pa is not None and not DATA <= by_qemu.pa < DATA + DATA_BYTES:
            self.qemu.entries = before
            return None
        departed = self._departed(request, by_manual, by_qemu, before)
        word = 0
        if by_qemu.pa is not None:
            word = 0 if request.operation in ONLY_STORES else self._word(by_qemu.pa)
            if request.operation in STORES:
                self.words[by_qemu.pa] = REQUESTS + number * REQUEST_BYTES
        return Case(request, by_manual, by_qemu, departed, word, trail, own)

    def _ours(self, request: Request) -> ours.Answer | None:
        """Return what gdbtools makes of it, with the tables as they are when it is asked."""
        if not ours.decoded(self.oracle.bits):
            return None
        found = None
        for touch in touches(request, self.state.stub_va):
            found = ours.answer(self.qemu.hardware, self.registers, self._bytes, touch)
            if found.pa is None:
                break
        return found

    def _bytes(self, pa: int, size_bytes: int) -> bytes:
        if not RAM <= pa <= RAM + RAM_BYTES - size_bytes:
            raise Unreadable(pa, size_bytes, "no memory is there")
        entry = self.qemu.entries.get(pa)
        return self.oracle.read(pa, size_bytes) if entry is None else entry.to_bytes(size_bytes, "little")

    def _departed(self, request: Request, by_manual: Seen, by_qemu: Seen, before: dict[int, int]) -> tuple[Known, ...]:
        """Return the departures without which QEMU would have done otherwise."""
        if by_manual == by_qemu and self.manual.entries == self.qemu.entries:
            return ()
        asked = sorted(self.qemu.fired, key=lambda known: known.name)
        after, mattered = self.qemu.entries, []
        for known in asked:
            self.qemu.without, self.qemu.entries = known, dict(before)
            if said(self.qemu, request, self.state.stub_va) != by_qemu or self.qemu.entries != after:
                mattered.append(known)
        self.qemu.without, self.qemu.entries = None, after
        return tuple(mattered or asked)

    def happened(self, case: Case, answer: Answer) -> Seen:
        """Return what the guest tells; a word that was loaded or fetched tells where it is."""
        request, cause, word = case.request, answer.cause, answer.value
        if request.operation in FROM_STUB and cause == ILLEGAL_INSTRUCTION:
            behind = self.state.stub_va[not request.mstatus & MPP_S] + 8 * request.operation + 4
            cause = None if answer.epc == behind & (1 << self.oracle.bits) - 1 else cause
        if request.operation is Operation.JUMP and cause == ILLEGAL_INSTRUCTION:
            cause, word = None, answer.tval
        if cause is not None:
            pseudo = answer.tinst if answer.tinst in PSEUDOINSTRUCTIONS.values() else 0
            gva = bool(answer.status & GVA)
            if gva is not case.by_qemu.gva and self.qemu.departs(Known.GVA_STAYS):
                self.stale_gva += 1
                gva = case.by_qemu.gva
            return Seen(cause, answer.tval, answer.tval2, pseudo, gva)
        if case.by_qemu.pa is not None and word == case.word:
            return case.by_qemu
        return Seen(pa=DATA + (word >> 7) * 4 if word & 0x7F == word_at(DATA) else None)

    def left_behind(self) -> list[str]:
        """Return where tables and data are not as they were predicted to be left; put the data back."""
        different = []
        size = self.oracle.bits // 8
        for pa, entry in self.qemu.entries.items():
            page = self.state.pages.get(pa & -4096)
            if page is None:
                different.append(f"an entry was to be written at {pa:#x}, where no table is")
                continue
            page[pa % 4096 : pa % 4096 + size] = entry.to_bytes(size, "little")
        for pa, page in self.state.pages.items():
            found = self.oracle.read(pa, 4096)
            if found != page:
                for at in range(0, 4096, size):
                    got, wanted = (int.from_bytes(each[at : at + size], "little") for each in (found, page))
                    if got != wanted:
                        different.append(f"the entry at {pa + at:#x} is {got:#x}, expected {wanted:#x}")
        for pa, word in self.words.items():
            got = self._read(pa, 4)
            if got != word:
                different.append(f"the word at {pa:#x} is {got:#x}, expected {word:#x}")
            self.oracle.write(pa, word_at(pa).to_bytes(4, "little"))
        return different
