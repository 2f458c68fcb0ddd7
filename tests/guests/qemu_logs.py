"""Record QEMU's logs of exceptions (`-d int`) of guests that are in a loop, each beside a capture of its exception.

    python -m tests.guests.qemu_logs [NAME...]

A handler that mends nothing is what makes a loop: the guest for AArch64 has one of its own, and in the others GDB
writes a return over the handler, and the access over the code that is stopped at.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.guests.crash_logs import FROM_KERNEL, LOGS
from tests.guests.packages import qemu
from tests.guests.printed_crashes import FAULTS, GUEST, capture, stopped
from tests.live.session import Session
from tests.places import ROOT

KEPT: Final = 20
"""How many exceptions of a loop a log is cut to."""
PASTED: Final = ("qemu-arm-absent", "qemu-riscv-read", "qemu-x86-read")
"""Those beside which there is what `info registers` printed, GDB's and the monitor's."""
GUESTS: Final = ROOT / "fixtures/guests"


@dataclass(frozen=True)
class Patched:
    """A guest in which GDB makes the loop: where it is stopped, its handler, and the code of a return.

    `accesses` are the code of an access through `register`, by what it does; `sign` is in every exception's first line.
    """

    elf: Path
    program: str
    machine: tuple[str, ...]
    at: str
    handler: str
    returns: bytes
    register: str
    accesses: Mapping[str, bytes]
    sign: bytes
    nowhere: int


PATCHED: Final[Mapping[str, Patched]] = {
    "riscv": Patched(
        GUESTS / "riscv/spurious/spurious64.elf",
        "qemu-system-riscv64",
        ("-M", "virt", "-bios", "none", "-m", "64"),
        "use_new_page",
        "trap",
        bytes.fromhex("73002010"),
        "a1",
        {
            "read": bytes.fromhex("03b50500"),
            "write": bytes.fromhex("23b0a500"),
            "execute": bytes.fromhex("67800500"),
        },
        b"riscv_cpu_do_interrupt: ",
        0x12_3456_7000,
    ),
    "x86": Patched(
        GUESTS / "x86/spurious/spurious.elf",
        "qemu-system-x86_64",
        ("-M", "q35", "-cpu", "max", "-m", "64"),
        "main",
        "page_fault",
        bytes.fromhex("4883c40848cf"),
        "rdi",
        {"read": bytes.fromhex("488b07"), "write": bytes.fromhex("488907"), "execute": bytes.fromhex("ffe7")},
        b": v=",
        0x7F_1234_5000,
    ),
}
QEMU_OF_ARM: Final = {"absent": "system", "read-only": "system", "access-flag": "sid"}
"""7.2 does not log SPSR, and 11.1 does."""


def cut(log: Path, sign: bytes) -> bytes:
    """Return a log up to so many exceptions of its loop, which is what it ends with."""
    lines, count = log.read_bytes().splitlines(keepends=True), 0
    for place, line in enumerate(lines):
        count += sign in line
        if count > KEPT:
            return b"".join(lines[:place])
    return b"".join(lines)


def loop(session: Session, log: Path, sign: bytes, name: str) -> None:
    """Capture the exception that a guest stands at, let it run into its loop, and keep the log."""
    capture(session, name)
    if name in PASTED:
        for asked, of in (("monitor info registers -a", "monitor"), ("info registers", "gdb")):
            said = session.say(f'python print(gdb.execute("{asked}", to_string=True))')
            # Vectors are wide, and not read.
            kept = [line for line in said.splitlines() if not line.startswith(("xmm", "ymm", "v", "k"))]
            (LOGS / f"{name}.{of}").write_text("\n".join(kept) + "\n")
    session.say("detach")
    time.sleep(1)
    (LOGS / f"{name}.log").write_bytes(cut(log, sign))


def record_arm(name: str, fault: str, folder: Path) -> None:
    log = folder / f"{name}.log"
    command = qemu(QEMU_OF_ARM[fault]).command
    machine = [*command, "-M", "virt", "-cpu", "cortex-a57", "-m", "64", "-d", "int", "-D", str(log)]
    with stopped(GUEST, machine, folder / "serial", folder / f"{name}.sock") as session:
        session.say(f"set var *(unsigned long *)&fault = {FAULTS[fault]}")
        session.say("set var *(unsigned long *)&system = 100")
        session.say(f"hbreak *{session.value('(unsigned long)&vectors') + FROM_KERNEL:#x}")
        session.say("continue")
        loop(session, log, b"Taking exception ", name)


def record_patched(name: str, guest: Patched, access: str, folder: Path) -> None:
    log = folder / f"{name}.log"
    logged = "int,mmu" if guest.program == "qemu-system-riscv64" else "int"
    machine = [*qemu("system", guest.program).command, *guest.machine, "-d", logged, "-D", str(log)]
    with stopped(guest.elf, machine, folder / "serial", folder / f"{name}.sock") as session:
        # A loader may put the guest into memory as late as its start.
        for symbol in ("start", guest.at):
            session.say(f"hbreak *(long)&{symbol}")
            session.say("continue")
            session.say("delete")
        pc = session.value("$pc")
        write(session, session.value(f"(unsigned long)&{guest.handler}"), guest.returns)
        write(session, pc, guest.accesses[access])
        session.set_registers(**{guest.register: guest.nowhere})
        session.say(f"hbreak *(long)&{guest.handler}")
        session.say("continue")
        loop(session, log, guest.sign, name)


def write(session: Session, at: int, code: bytes) -> None:
    """Write instructions into a guest."""
    for place, byte in enumerate(code):
        session.say(f"set var *(unsigned char *){at + place:#x} = {byte}")


def main(names: Sequence[str]) -> None:
    with tempfile.TemporaryDirectory(prefix="gdbtools-logs-") as folder:
        for fault in QEMU_OF_ARM:
            if not names or f"qemu-arm-{fault}" in names:
                record_arm(f"qemu-arm-{fault}", fault, Path(folder))
        for architecture, guest in PATCHED.items():
            for access in guest.accesses:
                if not names or f"qemu-{architecture}-{access}" in names:
                    record_patched(f"qemu-{architecture}-{access}", guest, access, Path(folder))


if __name__ == "__main__":
    main(sys.argv[1:])
