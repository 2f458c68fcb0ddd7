"""`gdbtools demo --arch x86_64`: a page fault with no reason, returned from, and a TLB that was not told.

QEMU's TLB causes no fault that its tables permit, so that the guest itself plays the hypervisor which sends it one: it
leaves in cr2 and on its stack what such a fault has, and goes to its own handler.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from gdbtools.arch import ARCHITECTURES
from gdbtools.children.mi import Gdb
from gdbtools.children.processes import Qemu, find_gdb, find_program
from gdbtools.errors import Unavailable
from gdbtools.places import gdbinit, place
from gdbtools.repl.demo_steps import SECONDS, quietly, say, transcript

EMULATOR: Final = ARCHITECTURES["x86_64"].identity.emulator
DEATH: Final = "panic: a page fault at 0x40001000, error code 0x00000002, and no reason for it: the page is there"
STORED: Final = "stored: 0x600df00e"
CURED: Final = "the page has what is new: 0x600df00e"
PLAYED: Final = (
    "(Here the guest plays the hypervisor, on its only CPU, and changes no table: it goes to its handler as if one\n"
    "had been away. So `fault` finds no window to name, but that the tables permit it, and what is left to suspect.)"
)
REMAPPED: Final = 0x4000_0000


def demo(program: str) -> int:
    """Run the guest with a QEMU, by its command line or the system's: alone, and helped; 0 if it lived."""
    command = shlex.split(program) or [find_program(EMULATOR.program, EMULATOR.package)]
    find_gdb()
    alone(command)
    helped(command)
    say("good", "\nThe guest lived, and read what is there.")
    return 0


def guest() -> Path:
    return place("fixtures/guests/x86/spurious/spurious.elf")


def start(command: Sequence[str], stopped: bool = True) -> Qemu:
    return Qemu(guest(), 1, EMULATOR.cpu, stopped, machine=EMULATOR.machine, program=command)


def alone(command: Sequence[str]) -> None:
    say(
        "title",
        "A CPU is told of a page fault on what is there, as under a hypervisor that unhooks a table for a moment.",
    )
    say("plain", PLAYED)
    say("plain", "Without gdbtools:")
    with start(command, stopped=False) as qemu:
        _ended(qemu, DEATH)


def helped(command: Sequence[str]) -> None:
    say("title", "\nThe same with gdbtools. Then the kernel changes the frame of a page, and forgets the invlpg:")
    with start(command) as qemu, Gdb(init=gdbinit()) as gdb:
        quietly(gdb, f"file {guest()}")
        quietly(gdb, f"target remote {qemu.gdbstub}")
        quietly(gdb, "hbreak *planted")
        quietly(gdb, "continue")
        quietly(gdb, "delete")
        transcript(gdb, "mmu catch any")
        transcript(gdb, "continue")
        transcript(gdb, "mmu fault")
        quietly(gdb, "delete")
        transcript(gdb, "hbreak *remapped")
        transcript(gdb, "mmu fixup --resume")
        transcript(gdb, f"mmu probe {REMAPPED:#x} --tlbi")
        quietly(gdb, "delete")
        gdb.run("continue", SECONDS)
        _ended(qemu, STORED, CURED)


def _ended(qemu: Qemu, *said: str) -> None:
    qemu.wait(SECONDS)
    say("title", "\nThe guest:")
    say("guest", qemu.output())
    for each in said:
        if each not in qemu.output():
            raise Unavailable(f"the guest did not end with {each!r}; please report what is above")
