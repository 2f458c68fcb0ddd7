"""`gdbtools demo --arch riscv64`: a TLB that kept an invalid entry, and a hart that leaves A and D to software.

QEMU's TLB keeps no entry that was invalid, so that the first guest's M-mode plays a hart whose TLB does, until a fence
has been executed.  The second guest runs on what QEMU has itself, if it is new enough: Svade.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from gdbtools.children.mi import Gdb
from gdbtools.children.processes import Qemu, find_gdb, find_program
from gdbtools.errors import Unavailable
from gdbtools.places import gdbinit, place
from gdbtools.repl.demo_steps import SECONDS, quietly, say, transcript

GUESTS: Final = "fixtures/guests/riscv"
PROGRAM: Final = "qemu-system-riscv64"
ANY: Final = "rv64"
SVADE: Final = "rv64,svade=true,svadu=true"
CURED: Final = "the page has 0x600d0000, after 0x00000002 faults that were called spurious"
DEATH: Final = "a page fault, and nobody handles it"
CHECKSUM: Final = "checksum 0x000000003c05a040"
"""Computed by the guest itself where hardware sets A and D, and nothing faults."""
NEW_PAGE: Final = 0x4000_1000


def demo(program: str) -> int:
    """Run both guests with a QEMU, by its command line or the system's; 0 if they lived.

    Where that QEMU has no Svade the second is left out.
    """
    command = shlex.split(program) or [find_program(PROGRAM, "qemu-system-misc")]
    find_gdb()
    cached_invalid(command)
    if not has_svade(command):
        say("good", "\nThe guest lived.")
        say(
            "plain",
            f"The second guest needs Svade, which {command[0]} lacks: --qemu PROGRAM gives a newer one, as 10.0.",
        )
        return 0
    alone(command)
    serviced(command)
    say("good", "\nBoth guests lived.")
    return 0


def has_svade(command: Sequence[str]) -> bool:
    """Return whether a QEMU has harts that leave A and D to software."""
    try:
        with start(command, "accessed", SVADE):
            return True
    except Unavailable as why:
        if "svade" in str(why):
            return False
        raise


def guest(name: str) -> Path:
    return place(f"{GUESTS}/{name}/{name}64.elf")


def start(command: Sequence[str], name: str, cpu: str, stopped: bool = True) -> Qemu:
    return Qemu(guest(name), 1, cpu, stopped, machine="virt", program=command, extra=("-bios", "none"))


@contextmanager
def attached(command: Sequence[str], name: str, cpu: str, begins: str) -> Iterator[tuple[Qemu, Gdb]]:
    """Yield a guest, and the GDB that is attached to it, at the first instruction of a function."""
    with start(command, name, cpu) as qemu, Gdb(init=gdbinit()) as gdb:
        quietly(gdb, f"file {guest(name)}")
        quietly(gdb, f"target remote {qemu.gdbstub}")
        quietly(gdb, f"hbreak *(long)&{begins}")
        quietly(gdb, "continue")
        quietly(gdb, "delete")
        yield qemu, gdb


def cached_invalid(command: Sequence[str]) -> None:
    say(
        "title", "A kernel maps a page and uses it without sfence.vma, on a hart whose TLB met the entry while invalid."
    )
    say("title", "Its handler looks whether the entry is valid, calls the fault spurious, and returns, for ever.")
    say("plain", "(QEMU's TLB keeps no invalid entry: this guest's M-mode plays the hart that does, until a fence.)")
    with attached(command, "spurious", ANY, "use_new_page") as (qemu, gdb):
        transcript(gdb, "mmu catch any")
        transcript(gdb, "continue")
        transcript(gdb, "mmu fault")
        transcript(gdb, "continue")
        transcript(gdb, f"mmu tlbi {NEW_PAGE:#x}")
        quietly(gdb, "delete")
        gdb.run("continue", SECONDS)
        _ended(qemu, CURED)


def alone(command: Sequence[str]) -> None:
    say("title", "\nA kernel that counts on hardware to set A and D, on a hart that leaves that to software (Svade):")
    with start(command, "accessed", SVADE, stopped=False) as qemu:
        _ended(qemu, DEATH)


def serviced(command: Sequence[str]) -> None:
    say("title", "\nThe same with gdbtools:")
    with attached(command, "accessed", SVADE, "fence_all") as (qemu, gdb):
        transcript(gdb, "mmu catch any")
        transcript(gdb, "continue")
        transcript(gdb, "mmu fault")
        quietly(gdb, "delete")
        transcript(gdb, "mmu service")
        _ended(qemu, CHECKSUM)


def _ended(qemu: Qemu, said: str) -> None:
    qemu.wait(SECONDS)
    say("title", "\nThe guest:")
    say("guest", qemu.output())
    if said not in qemu.output():
        raise Unavailable(f"the guest did not end with {said!r}; please report what is above")
