"""The host's side of fixtures/guests/syndromes: any instruction at any level, and the exception that it ends in.

A case is assembler text and the system registers to run it under. Binutils say what its words are and, independently of
this project, what instruction an exception is about.
"""

from __future__ import annotations

import mmap
import shutil
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gdbtools.children.processes import DIES_WITH_PARENT, QEMU
from tests.guests.assembly import ASSEMBLER, DISASSEMBLER, Code, assemble
from tests.guests.controls import BASE, EVERY_CASE, FEATURES, IDENTITY, REGISTER_NEEDS
from tests.guests.packages import Qemu
from tests.places import ROOT

IMAGE = ROOT / "fixtures/guests/syndromes/syndromes.elf"
RAM, RAM_BYTES = 0x40000000, 256 << 20
MAILBOX, CASES, CASE_BYTES, CASES_AT_ONCE = 0x40200000, 0x40300000, 0x600, 4096
CODE, TABLES, DATA = 0x40100000, 0x48000000, 0x4C000000
DOORBELL, DONE, COUNT, BEGUN, ADDRESSES = 0x08, 0x10, 0x18, 0x20, 0x100
CODE_WORDS, SWAP_WORDS, VALUES, X = 64, 128, 0x300, 0x400
MACHINES = {2: "virt,virtualization=on", 3: "virt,virtualization=on,secure=on"}
LAST = 0x7FFF
"""The immediate of the call that ends a case which has come through without any other exception."""
SVC, HVC, SMC = (0xD4000000 | LAST << 5 | number for number in (1, 2, 3))
SVC_AARCH32, HVC_AARCH32 = 0xEF000000 | LAST, 0xE1400070 | LAST >> 4 << 8 | LAST & 0b1111
SVC_T32, HVC_T32 = 0xDFFF_DFFF, (0xF7E0 | LAST >> 12) | (0x8000 | LAST & 0xFFF) << 16

HCR_RW = 1 << 31
NOP, LDR_X1, STR_X2 = 0xD503201F, 0xF9400001, 0xF8008402
"""`ldr x1, [x0]` and `str x2, [x0], #8`: what stands around `mrs x2, register` and `msr register, x1`."""

EL0T, EL1T, EL1H, EL2T, EL2H, EL3H = 0b0000, 0b0100, 0b0101, 0b1000, 0b1001, 0b1101
AARCH32, AARCH32_USER, AARCH32_SUPERVISOR, AARCH32_T32 = 1 << 4, 0b10000, 0b10011, 1 << 5
PSTATE_M = 0b11111
DAIF = 0b1111 << 6
POLL_SECONDS = 0.0001
VECTORS_BYTES, VECTOR_BYTES, VECTORS_AARCH32_BYTES = 0x800, 0x80, 0x20


@dataclass(frozen=True)
class Case:
    """Instructions, at a level, under system registers; what is not given is as `Syndromes` has it."""

    source: str
    pstate: int = EL1H | DAIF
    registers: dict[str, int] = field(default_factory=dict)
    x: dict[int, int] = field(default_factory=dict)
    entry: int | None = None
    """Where to begin; None is where the code is."""


@dataclass(frozen=True)
class Record:
    """An exception: the level that it was taken to, the offset of the vector there, and what was written down.

    An EL1 in AArch32 has other registers for that, and all but the vector is 0.
    """

    target: int
    vector: int
    esr: int
    far: int
    elr: int
    spsr: int
    hpfar: int
    x: tuple[int, ...]

    @property
    def ec(self) -> int:
        return self.esr >> 26 & 0x3F

    @property
    def completed(self) -> bool:
        """Whether all that was to be run was run: only the call at the end was an exception."""
        return self.ec & 0b111000 == 0b010000 and self.esr & 0xFFFF in (LAST, 0xFF)


class Syndromes:
    """A running guest at EL2 or EL3, in the system's QEMU or another; leave the `with` block and it is gone."""

    def __init__(self, cpu: str, level: int = 2, qemu: Qemu | None = None, machine: str = "") -> None:
        self.cpu = cpu
        self.level = level
        self.qemu = qemu
        self.machine = MACHINES[level] + machine
        self._swaps: dict[str, tuple[int, ...]] = {}

    def __enter__(self) -> Syndromes:
        self._folder = tempfile.TemporaryDirectory(prefix="gdbtools-syndromes-")
        self._path = Path(self._folder.name) / "ram"
        with self._path.open("wb") as file:
            file.truncate(RAM_BYTES)
        with self._path.open("r+b") as file:
            self.ram = mmap.mmap(file.fileno(), RAM_BYTES)
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()
        self.ram.close()
        self._folder.cleanup()

    def _start(self) -> None:
        backend = f"memory-backend-file,id=ram,size={RAM_BYTES},mem-path={self._path},share=on"
        shape = ["-M", self.machine, "-cpu", self.cpu, "-m", "256M", "-object", backend]
        shape += ["-machine", "memory-backend=ram", "-nic", "none", "-display", "none", "-serial", "null"]
        program = self.qemu.command if self.qemu else (QEMU,)
        command = [*DIES_WITH_PARENT, *program, *shape, "-monitor", "none", "-kernel", str(IMAGE)]
        self.write(MAILBOX, bytes(8))
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        self._sequence = 0
        came_up = self._wait(lambda: self.read(MAILBOX, 8) == b"syndrome", 30)
        assert came_up, f"the guest did not come up in {' '.join(command)}"
        found = struct.unpack("<6Q", self.read(MAILBOX + ADDRESSES, 48))
        level, self.code_slot, self.swap_slot, self.vectors_EL1, self.vectors_EL1_AArch32, self.vectors_EL2 = found
        assert (level, self.code_slot) == (self.level << 2, CODE), "another guest came up, or at another level"
        self._set_base()

    def _set_base(self) -> None:
        """Leave every register that traps as one that does not, where there is such a register."""
        own = {2: EL2H, 3: EL3H}[self.level] | DAIF
        names = [*IDENTITY]
        read = Case("\n".join(f"mrs x{at}, {name}" for at, name in enumerate(names)), own)
        self.identity = dict(zip(names, self._completed(read).x, strict=False))
        there = {name: value for name, value in BASE.items() if self.has(REGISTER_NEEDS.get(name, ""))}
        there = {name: value for name, value in there.items() if self.level == 3 or not name.endswith("_EL3")}
        text = "\n".join(f"msr {name}, x{at}" for at, name in enumerate(there))
        self._completed(Case(text, own, x=dict(enumerate(there.values()))))

    def _completed(self, case: Case) -> Record:
        record = self.run([case])[0]
        assert record is not None, "it hangs"
        assert record.completed, f"it does not run: {record}"
        return record

    def has(self, feature: str) -> bool:
        """Return whether the machine has a feature of `FEATURES`; every machine has the empty one."""
        if not feature:
            return True
        ways = [way for name, way in FEATURES.items() if name.partition(",")[0] == feature]
        return any(least <= self.identity[name] >> lsb & 0b1111 < 0b1111 for name, lsb, least in ways)

    def _stop(self) -> None:
        self._process.kill()
        self._process.wait()

    @property
    def version(self) -> str:
        """QEMU's, as departures are listed by it: `7.2`."""
        assert self.qemu is not None
        return ".".join(self.qemu.version.split(".")[:2])

    def _wait(self, ready: Callable[[], bool], seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while not ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                return False
            time.sleep(POLL_SECONDS)
        return True

    def read(self, pa: int, size_bytes: int) -> bytes:
        return self.ram[pa - RAM : pa - RAM + size_bytes]

    def word(self, pa: int) -> int:
        return int.from_bytes(self.read(pa, 8), "little")

    def write(self, pa: int, data: bytes) -> None:
        self.ram[pa - RAM : pa - RAM + len(data)] = data

    def run(self, cases: Sequence[Case], seconds: float = 5) -> list[Record | None]:
        """Run cases one after the other; None for one that ends in no exception, or ends QEMU."""
        return self.run_code(cases, assemble([case.source for case in cases]), seconds)

    def run_code(self, cases: Sequence[Case], codes: Sequence[Code], seconds: float = 5) -> list[Record | None]:
        """Run cases that have been assembled."""
        records: list[Record | None] = []
        while len(records) < len(cases):
            at = slice(len(records), len(records) + CASES_AT_ONCE)
            records += self._batch(cases[at], codes[at], seconds)
        return records

    def _batch(self, cases: Sequence[Case], codes: Sequence[Code], seconds: float) -> list[Record | None]:
        """Run one batch, as far as it goes; where a case hangs, it is the last and None, and QEMU is another."""
        self._learn({name for case in cases for name in self._registers(case)})
        self.write(CASES, b"".join(self._pack(case, code) for case, code in zip(cases, codes, strict=True)))
        self.write(MAILBOX + COUNT, struct.pack("<QQ", len(cases), 0))
        self._sequence += 1
        self.write(MAILBOX + DOORBELL, struct.pack("<Q", self._sequence))
        begun = 0
        while not self._wait(lambda: self.word(MAILBOX + DONE) == self._sequence, seconds):
            was, begun = begun, self.word(MAILBOX + BEGUN)
            if begun == was or self._process.poll() is not None:
                records = [self._record(number) for number in range(begun - 1)]
                self._stop()
                self._start()
                return [*records, None]
        return [self._record(number) for number in range(len(cases))]

    def _learn(self, names: set[str]) -> None:
        """Have `mrs x2, register` and `msr register, x1` for each name."""
        new = sorted(names - self._swaps.keys())
        if new:
            for name, code in zip(new, assemble([f"mrs x2, {n}\n msr {n}, x1" for n in new]), strict=True):
                self._swaps[name] = (LDR_X1, *code.words, STR_X2)

    def _pack(self, case: Case, code: Code) -> bytes:
        registers = self._registers(case)
        swap = [word for name in registers for word in self._swaps[name]]
        padded = struct.pack(f"<{CODE_WORDS}I", *code.words, *(self._last(case),) * (CODE_WORDS - len(code.words)))
        padded += struct.pack(f"<{SWAP_WORDS}I", *swap, *(NOP,) * (SWAP_WORDS - len(swap)))
        values = [value & (1 << 64) - 1 for value in registers.values()]
        padded += struct.pack("<32Q", *values, *(0,) * (32 - len(values)))
        x = [case.x.get(number, 0) & (1 << 64) - 1 for number in range(31)]
        entry = self.code_slot if case.entry is None else case.entry
        return (padded + struct.pack("<33Q", *x, entry, case.pstate)).ljust(CASE_BYTES, b"\0")

    def _last(self, case: Case) -> int:
        """Return the call that is left for what comes through: SVC at EL0, HVC above, SMC where we live at EL3."""
        if case.pstate & AARCH32:
            user = case.pstate & PSTATE_M == AARCH32_USER
            if case.pstate & AARCH32_T32:
                return SVC_T32 if user else HVC_T32
            return SVC_AARCH32 if user else HVC_AARCH32
        if case.pstate & PSTATE_M == EL0T:
            return SVC
        return HVC if self.level == 2 else SMC

    def _registers(self, case: Case) -> dict[str, int]:
        """Return what to set, in order: HCR_EL2 last, because E2H would give the names of EL1's registers to EL2's."""
        every = {name: value for name, value in EVERY_CASE.items() if self.level == 3 or name != "SCR_EL3"}
        registers = {**every, **case.registers}
        if not registers["HCR_EL2"] & HCR_RW:
            registers.setdefault("VBAR_EL1", self.vectors_EL1_AArch32)
        hcr = registers.pop("HCR_EL2")
        return {**registers, "HCR_EL2": hcr}

    def _record(self, number: int) -> Record:
        at = CASES + CASE_BYTES * number
        x = struct.unpack("<31Q", self.read(at + X, 31 * 8))
        vector, *rest = struct.unpack("<14Q", self.read(at + 0x508, 14 * 8))
        of = {level: tuple(rest[4 * level - 4 : 4 * level]) for level in (1, 2, 3)}
        target, elr = self.level, of[self.level][2]
        assert not 0 <= elr - self.swap_slot < VECTORS_BYTES, f"a system register cannot be set: ESR {of[target][0]:#x}"
        for below, vectors in ((2, self.vectors_EL2), (1, self.vectors_EL1)):
            # A call from there has the next instruction in its ELR; one that was trapped on its way, itself.
            if below < target and 0 <= elr - vectors < VECTORS_BYTES:
                target, vector = below, (elr - vectors) & -VECTOR_BYTES
                elr = of[below][2]
        if 0 <= elr - self.vectors_EL1_AArch32 <= VECTORS_AARCH32_BYTES:
            return Record(1, elr - 4 - self.vectors_EL1_AArch32, 0, 0, 0, 0, 0, x)
        esr, far, elr, spsr = of[target]
        return Record(target, vector, esr, far, elr, spsr, rest[12], x)


def missing() -> str:
    """Return why the guest cannot be asked; empty when it can."""
    if shutil.which(QEMU) is None:
        return f"{QEMU} is not installed: apt-get install qemu-system-arm"
    if shutil.which(ASSEMBLER) is None or shutil.which(DISASSEMBLER) is None:
        return f"{ASSEMBLER} is not installed: apt-get install binutils-aarch64-linux-gnu"
    return ""
