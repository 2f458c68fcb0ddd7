"""Record crash logs of real firmware, each beside a capture of the moment of its fault.

    python -m tests.guests.firmware_logs [NAME...]

Each is stopped where it waits, and sent to a store of its own with an address of ours, or to that address; the fault,
and every line that is printed of it, is the firmware's.
"""

from __future__ import annotations

import json
import re
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gdbtools.children.mi import Gdb
from gdbtools.children.processes import DIES_WITH_PARENT, find_gdb
from gdbtools.cli import main as gdbtools
from tests.guests.crash_logs import COMPILER, LOGS
from tests.guests.linux import Stub
from tests.guests.packages import firmware, qemu
from tests.live.session import INIT, INSIDE, Session

SP_EL0, SP_ELx, LOWER = 0x000, 0x200, 0x400
"""Where in a table of vectors exceptions are taken that come from one's own level, by its stack, and from below."""
STR_X1_X0: Final = 0xF9000001
PAGE_FAULT: Final = 14
SECONDS: Final = 120
"""How long a firmware may take until it waits."""


@dataclass
class Firmware:
    """A firmware that has started: where its console goes to, and its stub."""

    folder: Path
    console: Path

    @property
    def gdbstub(self) -> Path:
        return self.folder / "gdb"

    @property
    def said(self) -> str:
        return self.console.read_bytes().decode(errors="replace").replace("\r", "")

    def until(self, pattern: str) -> str:
        """Return what it has printed as soon as a pattern is in it."""
        deadline = time.monotonic() + SECONDS
        while not (found := re.search(pattern, self.said)):
            assert time.monotonic() < deadline, f"no {pattern} in {self.said[-500:]}"
            time.sleep(0.5)
        return found[0]


@contextmanager
def started(command: list[str], console: int = 0, consoles: int = 2) -> Iterator[Firmware]:
    """Start a firmware; `console` says on which of its serial ports it speaks."""
    with tempfile.TemporaryDirectory(prefix="gdbtools-firmware-") as name:
        folder = Path(name)
        ports = [word for number in range(consoles) for word in ("-serial", f"file:{folder / str(number)}")]
        ports += ["-monitor", "none", "-display", "none", "-gdb", f"unix:{folder / 'gdb'},server=on,wait=off"]
        (folder / str(console)).touch()
        process = subprocess.Popen([*DIES_WITH_PARENT, *command, *ports], stdin=subprocess.DEVNULL)
        try:
            yield Firmware(folder, folder / str(console))
        finally:
            process.kill()
            process.wait()


@contextmanager
def attached(guest: Firmware, architecture: str) -> Iterator[Session]:
    with Gdb(find_gdb(""), INIT) as gdb:
        session = Session(gdb)
        session.say(f"source {INSIDE}")
        session.say(f"set architecture {architecture}")
        session.say(f"target remote {guest.gdbstub}")
        yield session


def at(session: Session, address: int) -> None:
    """Go on until the guest is there."""
    session.say(f"hbreak *{address:#x}")
    session.say("continue")
    session.say("delete")


def send(session: Session, to: int, store: int | None) -> None:
    """Have an AArch64 guest execute an address, or write to it by the store that is there."""
    if store is None:
        session.set_registers(pc=to)
    else:
        session.set_registers(x0=to, x1=0, pc=store)


def capture(session: Session, name: str) -> None:
    (LOGS / f"{name}.core").unlink(missing_ok=True)
    print(session.say(f"mmu capture {LOGS / name}.core --tables touched"))


def keep(guest: Firmware, session: Session, name: str, first: str, last: str) -> None:
    """Let the guest print, up to its last words, and keep that from its first ones on."""
    before = len(guest.said)
    session.say("detach")
    guest.until(last)
    said = guest.said[before:]
    (LOGS / f"{name}.log").write_text(said[said.index(first) :].rstrip("\n") + "\n")


@dataclass(frozen=True)
class UBoot:
    """A crash of U-Boot: which one, at which level, and where it is made to write or to go."""

    package: str
    to: int
    executes: bool = False
    at_el2: bool = False

    def record(self, name: str) -> None:
        machine = "virt,virtualization=on" if self.at_el2 else "virt"
        command = [*qemu("system").command, "-M", machine, "-cpu", "cortex-a57", "-nic", "none"]
        with started([*command, "-bios", str(firmware(self.package))]) as guest:
            guest.until(r"Hit any key")
            with attached(guest, "aarch64") as session:
                near = session.value("$pc") & ~0xFFFF
                stores = session.say(f"find /w {near - 0x80000:#x}, +0x100000, {STR_X1_X0:#x}")
                send(session, self.to, None if self.executes else int(stores.split()[0], 16))
                at(session, session.value("$VBAR_EL2" if self.at_el2 else "$VBAR") + SP_ELx)
                capture(session, name)
                keep(guest, session, name, '"Synchronous', r"handler, esr.*\n(?:.*\n)*Resetting CPU")


TF_A_CALLS: Final = """
.global _start
_start:
    movz w0, #0x8400, lsl #16
    smc #0
    b _start
"""
"""The normal world of a Trusted Firmware-A: asks for its version for ever."""
TF_A_NORMAL_WORLD: Final = 0x80000
TF_A_CONSOLE, CBZ_X0 = 0x228C, 0xB4FFBE80
"""Where BL31 of 2.12.1 for rpi4 looks at its console for crashes.

That console is set up without a clock, and refuses; it is told that it is ready.
"""


@dataclass(frozen=True)
class TfA:
    """A crash of Trusted Firmware-A's BL31, as it takes a call of the normal world."""

    to: int
    executes: bool = False

    def record(self, name: str) -> None:
        image = firmware("tf-a-2.12")
        with tempfile.TemporaryDirectory(prefix="gdbtools-tf-a-") as folder:
            calls = assembled(TF_A_CALLS, Path(folder), TF_A_NORMAL_WORLD)
            command = [*qemu("sid").command, "-M", "raspi4b"]
            command += ["-device", f"loader,file={image},addr=0x0,cpu-num=0"]
            command += ["-device", f"loader,file={calls},addr={TF_A_NORMAL_WORLD:#x}"]
            with started(command) as guest:
                guest.until("SPSR = ")
                self._fault(guest, image, name)

    def _fault(self, guest: Firmware, image: Path, name: str) -> None:
        with attached(guest, "aarch64") as session:
            vectors = session.value("$VBAR_EL3")
            at(session, vectors + LOWER)
            send(session, self.to, None if self.executes else found_in(image, STR_X1_X0))
            at(session, vectors + SP_ELx)
            capture(session, name)
            assert session.value(f"*(unsigned *){TF_A_CONSOLE:#x}") == CBZ_X0
            at(session, TF_A_CONSOLE)
            session.set_registers(x0=1)
            guest.console = guest.folder / "1"
            keep(guest, session, name, "Unhandled", r"l2merrsr_el1.*\n")


OP_TEE_AT: Final = 0x0E10_0000
OP_TEE_FLASH, OP_TEE_BYTES = 0x10000, 0x100000
OP_TEE_MONITOR: Final = f"""
.global _start
_start:
    mov x0, #{OP_TEE_FLASH:#x}
    mov x1, #{OP_TEE_AT:#x}
    mov x2, #{OP_TEE_BYTES:#x}
1:  ldp x3, x4, [x0], #16
    stp x3, x4, [x1], #16
    subs x2, x2, #16
    b.ne 1b
    mov x1, #0x438
    msr scr_el3, x1
    msr cptr_el3, xzr
    adr x1, vectors
    msr vbar_el3, x1
    mov x1, #0x3c5
    msr spsr_el3, x1
    mov x1, #{OP_TEE_AT:#x}
    msr elr_el3, x1
    mov x0, xzr
    mov x1, xzr
    mov x3, xzr
    ldr x2, =0x40000000
    eret
.balign 2048
vectors:
    .space 1024
    mov x0, #-1
    eret
"""
"""What stands for the firmware below OP-TEE: copies it from flash to Secure memory, and knows none of its calls.

It does not let it have the Secure timer either: OP-TEE asks for that for ever.
"""
OP_TEE_REGISTERS: Final = (
    "TTBR0_EL1", "TTBR1_EL1", "TCR_EL1", "MAIR_EL1", "ESR_EL1", "FAR_EL1", "ELR_EL1", "SPSR_EL1", "SCR_EL3",
    "CONTEXTIDR_EL1", "cpsr", "pc", "sp", *(f"x{number}" for number in range(31)),
)  # fmt: skip
OP_TEE_OTHERWISE: Final = {"SCTLR_EL1": "SCTLR", "VBAR_EL1": "VBAR"}
"""What QEMU's stub names without a level."""


@dataclass(frozen=True)
class OpTee:
    """A crash of OP-TEE; without an address to write to, it writes to its own text."""

    to: int | None
    executes: bool = False

    def record(self, name: str) -> None:
        image = firmware("op-tee-4.5")
        with tempfile.TemporaryDirectory(prefix="gdbtools-op-tee-") as folder:
            flash = Path(folder) / "flash"
            monitor = assembled(OP_TEE_MONITOR, Path(folder), 0).read_bytes()
            flash.write_bytes(monitor.ljust(OP_TEE_FLASH, b"\0") + image.read_bytes())
            command = [*qemu("system").command, "-M", "virt,secure=on,gic-version=3", "-cpu", "cortex-a57"]
            with started([*command, "-m", "1G", "-nic", "none", "-bios", str(flash)], console=1) as guest:
                guest.until(r"init_callout_service\(\)\n")
                self._fault(guest, image, name)

    @staticmethod
    def _size(said: str) -> int:
        """Return how much of its writable memory is mapped for good, which has its tables."""
        found = re.search(r"VCORE_UNPG_RW_PA type TEE_RAM_RW \w+ size 0x(\w+)", said)
        assert found is not None
        return int(found[1], 16)

    def _fault(self, guest: Firmware, image: Path, name: str) -> None:
        text, memory = mapped(guest.said, "TEE_RAM_RX"), mapped(guest.said, "TEE_RAM_RW")
        with attached(guest, "aarch64") as session:
            to = text[0] if self.to is None else self.to
            at(session, session.value("$VBAR_EL3") + LOWER)
            at(session, session.value("$ELR_EL3"))
            send(session, to, None if self.executes else text[0] + found_in(image, STR_X1_X0))
            at(session, session.value("$VBAR") + SP_EL0)
            kept = guest.folder / "secure"
            (va, pa), size = memory, self._size(guest.said)
            # The stub shows Secure memory by virtual addresses alone.
            session.say(f"dump binary memory {kept} {va:#x} {va + size:#x}")
            names = {**{each: each for each in OP_TEE_REGISTERS}, **OP_TEE_OTHERWISE}
            values = {each: f"{session.value(f'${shown}') & (1 << 64) - 1:#x}" for each, shown in names.items()}
            registers = guest.folder / "registers.json"
            registers.write_text(json.dumps(values))
            core = LOGS / f"{name}.core"
            core.unlink(missing_ok=True)
            source = ["-s", f"{kept}@{pa:#x}", "--registers", str(registers), "--arch", "aarch64"]
            assert gdbtools(["capture", str(core), "--tables", "touched", *source]) == 0
            keep(guest, session, name, "E/TC:0 0 Core", r"Panic '")


def mapped(said: str, what: str) -> tuple[int, int]:
    """Return where OP-TEE says that a part of its own memory is: its virtual and its physical address."""
    found = re.search(rf"type {what} +va 0x(\w+)\.\.\S+ pa 0x(\w+)", said)
    assert found is not None
    return int(found[1], 16), int(found[2], 16)


@dataclass(frozen=True)
class Edk2:
    """A crash of edk2 on AArch64, in its shell."""

    to: int

    def record(self, name: str) -> None:
        command = [*qemu("system").command, "-M", "virt", "-cpu", "cortex-a57", "-m", "512", "-nic", "none"]
        with started([*command, "-bios", str(firmware("edk2-2022.11-aarch64"))]) as guest:
            guest.until("Shell> ")
            with attached(guest, "aarch64") as session:
                send(session, self.to, None)
                at(session, session.value("$VBAR") + SP_ELx)
                capture(session, name)
                keep(guest, session, name, "Synchronous", r"Synchronous Exception at \w+")


@dataclass(frozen=True)
class Edk2OnX86:
    """A crash of edk2 on x86-64, in its shell; without an address, it writes to its own tables."""

    to: int | None
    executes: bool = False

    def record(self, name: str) -> None:
        variables = firmware("edk2-2022.11-x86-variables")
        flash = [f"if=pflash,format=raw,readonly=on,file={firmware('edk2-2022.11-x86')}"]
        flash += [f"if=pflash,format=raw,snapshot=on,file={variables}"]
        command = [*qemu("system", "qemu-system-x86_64").command, "-M", "q35", "-m", "512", "-nic", "none"]
        with started([*command, *(word for each in flash for word in ("-drive", each))]) as guest:
            guest.until("Shell> ")
            stub = Stub(guest.gdbstub)
            base = re.search(r"IDT=\s*([0-9a-f]+)", stub.monitor("info registers"))
            stub.close()
            assert base is not None
            with attached(guest, "i386:x86-64") as session:
                self._fault(guest, session, int(base[1], 16), name)

    def _fault(self, guest: Firmware, session: Session, idt: int, name: str) -> None:
        low, high = (session.value(f"*(unsigned long *){idt + PAGE_FAULT * 16 + half:#x}") for half in (0, 8))
        to = session.value("$cr3") & ~0xFFF if self.to is None else self.to
        if self.executes:
            session.set_registers(rip=to)
        else:
            near = session.value("$rip") & ~0xFFF
            stores = session.say(f"find /b {near - 0x40000:#x}, +0x80000, 0x48, 0x89, 0x07")
            session.set_registers(rdi=to, rax=0, rip=int(stores.split()[0], 16))
        at(session, low & 0xFFFF | low >> 48 << 16 | (high & 0xFFFF_FFFF) << 32)
        capture(session, name)
        keep(guest, session, name, "!!!! X64", r"FXSAVE_STATE.*\n(?:!!!! (?:Find|Can't).*\n)?")


def assembled(source: str, folder: Path, address: int) -> Path:
    """Return a raw image of AArch64 instructions that runs at an address."""
    text, linked, image = folder / "source.S", folder / "linked", folder / "image"
    text.write_text(source)
    options = ["-nostdlib", "-static", f"-Wl,-Ttext={address:#x}", "-Wl,--build-id=none"]
    subprocess.run([COMPILER, *options, "-o", linked, text], check=True)
    subprocess.run(["aarch64-linux-gnu-objcopy", "-O", "binary", linked, image], check=True)
    return image


def found_in(image: Path, instruction: int) -> int:
    """Return where in a raw image an instruction is, behind its vectors and its start."""
    data, wanted = image.read_bytes(), struct.pack("<I", instruction)
    return next(place for place in range(0x1000, len(data), 4) if data[place : place + 4] == wanted)


CRASHES: Final[Mapping[str, UBoot | TfA | OpTee | Edk2 | Edk2OnX86]] = {
    "u-boot-2023.01-write": UBoot("u-boot-2023.01", 0x50_0000_0000),
    "u-boot-2025.01-execute": UBoot("u-boot-2025.01", 0x40_1000_1000, executes=True),
    "u-boot-2025.01-el2-write": UBoot("u-boot-2025.01", 0x7F_FFFF_F000, at_el2=True),
    "tf-a-2.12-execute": TfA(0x7F_0000_0000, executes=True),
    "tf-a-2.12-write": TfA(0x5000_0000),
    "tf-a-2.12-read-only": TfA(0x1000),
    "op-tee-4.5-write": OpTee(0x10),
    "op-tee-4.5-read-only": OpTee(None),
    "op-tee-4.5-execute": OpTee(0x100, executes=True),
    "edk2-2022.11-execute": Edk2(0x80_0000_0000),
    "edk2-2022.11-x86-write": Edk2OnX86(0x7F00_0000_0000),
    "edk2-2022.11-x86-execute": Edk2OnX86(0x7F00_0000_0000, executes=True),
    "edk2-2022.11-x86-read-only": Edk2OnX86(None),
}


def main(names: list[str]) -> None:
    for name in names or CRASHES:
        CRASHES[name].record(name)


if __name__ == "__main__":
    main(sys.argv[1:])
