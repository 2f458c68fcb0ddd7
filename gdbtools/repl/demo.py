"""`gdbtools demo`: the fault that this project comes from, for real: with and without help."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gdbtools.arch import ARCHITECTURES
from gdbtools.children.mi import Gdb
from gdbtools.children.processes import FIRST, Qemu, find_gdb, find_qemu
from gdbtools.commands.parser import HelpFormatter, Parser
from gdbtools.errors import Unavailable
from gdbtools.places import gdbinit, place
from gdbtools.repl.demo_steps import SECONDS, quietly, say, transcript
from gdbtools.wording import number_of

DEATH = "page fault outside application"
# Computed by the guest itself with its scanner off (`scanning` = 0), where no fault happens.
CHECKSUMS = {1: "checksum 0xd4562710b1e7765e", 4: "checksum 0x975d3a4cc9f5d67f"}
DESCRIPTION = (
    "Watch faults be explained and repaired in real guests.\n\n"
    "A small guest runs on a QEMU of its own: alone it dies of the first fault; with gdbtools inside GDB the fault is "
    "explained and repaired, and the rest are served. It takes some seconds, and changes nothing of yours. Without "
    "QEMU or GDB a fault that was recorded is explained instead."
)


@dataclass(frozen=True)
class Files:
    """What the demo runs and replays."""

    guest: Path
    capture: Path
    init: Path


def files() -> Files:
    """Return the guest and the capture that came with this installation; raises `Unavailable` where they did not."""
    return Files(
        place("fixtures/guests/access_flag/access_flag.elf"), place("fixtures/captures/access-flag.core"), gdbinit()
    )


ARCHITECTURES_SHOWN = (FIRST.name, "riscv64", "x86_64")


def _parser() -> Parser:
    made = Parser(prog="gdbtools demo", description=DESCRIPTION, formatter_class=HelpFormatter)
    made.add_argument(
        "--arch",
        type=ARCHITECTURES.spelled,
        choices=ARCHITECTURES_SHOWN,
        default=ARCHITECTURES_SHOWN[0],
        help="whose guests",
    )
    made.add_argument(
        "--qemu", default="", metavar="COMMAND", help="the QEMU to use for riscv64 or x86_64 (default: the system's)"
    )
    return made


def demo(words: Sequence[str]) -> int:
    """Run the demo with 1 and with 4 CPUs; 0 if the guest lived each time.

    Without QEMU or GDB it says so and replays the recorded fault.
    """
    options = _parser().parse_args(words)
    if options.arch == "riscv64":
        from gdbtools.repl import demo_riscv  # only this needs it

        return demo_riscv.demo(options.qemu)
    if options.arch == "x86_64":
        from gdbtools.repl import demo_x86  # only this needs it

        return demo_x86.demo(options.qemu)
    found = files()
    try:
        find_qemu()
        find_gdb()
    except Unavailable as missing:
        return replay(found, str(missing))
    alone(found)
    for cpus in CHECKSUMS:
        helped(found, cpus)
    say("good", "\nThe guest lived, with 1 CPU and with 4.")
    return 0


def alone(found: Files) -> None:
    """Let the guest die as OSv did."""
    say("title", "Without gdbtools. The guest clears access flags, as OSv's page scanner does, and nothing sets them:")
    with Qemu(found.guest, stopped=False) as qemu:
        ended = qemu.wait(SECONDS)
        say("guest", qemu.output())
        if not ended or DEATH not in qemu.output():
            raise Unavailable("the guest did not die as it should have; is this QEMU's cortex-a57 different?")


def helped(found: Files, cpus: int) -> None:
    """Explain the first fault, repair it, and service the rest."""
    say("title", f"\nWith gdbtools, inside GDB on QEMU's gdbstub, {number_of(cpus, 'CPU')}:")
    with Qemu(found.guest, cpus) as qemu, Gdb(init=found.init) as gdb:
        quietly(gdb, f"file {found.guest}")
        quietly(gdb, f"target remote {qemu.gdbstub}")
        quietly(gdb, "hbreak clear_access_flags")
        quietly(gdb, "continue")
        quietly(gdb, "delete")
        if cpus == 1:
            transcript(gdb, "mmu status")
            transcript(gdb, "mmu catch access-flag")
            transcript(gdb, "continue")
            transcript(gdb, "mmu fault")
            transcript(gdb, "mmu fixup --resume")
            quietly(gdb, "delete")
        transcript(gdb, "mmu service")
        qemu.wait(SECONDS)
        say("title", "\nThe guest:")
        say("guest", qemu.output())
        if CHECKSUMS[cpus] not in qemu.output():
            raise Unavailable(f"the guest did not finish with {CHECKSUMS[cpus]}; please report what is above")


def replay(found: Files, missing: str) -> int:
    """Show the recorded fault offline, by the very same commands."""
    from gdbtools.commands import COMMANDS
    from gdbtools.commands.answering import query, respond
    from gdbtools.commands.session import Session
    from gdbtools.machine.sources import open_source
    from gdbtools.numbers import number

    say("title", f"{missing}.\nThe fault as it was recorded instead:")
    command = COMMANDS["fault"]
    say("prompt", f"\n$ gdbtools fault -s {found.capture.name}")
    session = Session(open_source(str(found.capture)))
    say("plain", respond(query(command, (), number, "gdbtools"), session).text().rstrip("\n"))
    return 0
