"""What may be asked of `who`, and how."""

from __future__ import annotations

from gdbtools.commands.arguments import LEVEL
from gdbtools.commands.model import Argument, Command, Kind, loaded

WHO = Command(
    name="who",
    summary="Run a recorded guest backwards to who changed a mapping last",
    description=(
        "Where QEMU replays a recording, go back to the last instruction that changed the descriptor of an address,\n"
        "and stay there, before it: `bt`, `info registers` and `mmu fault` are of that moment. `continue` goes on\n"
        "from there, and --to returns. Writes that leave it as it is are passed over. What no store to the\n"
        "descriptor's addresses has changed (hardware's own table walk, a device) is found by cutting the recording\n"
        "into parts. Ctrl-C returns to where it began.\n"
        "\n"
        "Record: qemu-img create -f qcow2 SNAPSHOTS 1G\n"
        "        QEMU ...\n"
        "          -icount shift=auto,rr=record,rrfile=RECORDING,rrsnapshot=start\n"
        "          -drive file=SNAPSHOTS,if=none,id=snapshots\n"
        "Replay: the same with rr=replay -S -s, and in GDB run to where it is wrong."
    ),
    arguments=(
        Argument("address", "the virtual address whose mapping was changed", Kind.ADDRESS, many="?"),
        LEVEL,
        Argument("--to", "go to this instruction of the recording instead", Kind.NUMBER, metavar="INSTRUCTION"),
    ),
    implementation=loaded("who"),
    live_only=True,
    changes_guest=True,
    runs_guest=True,
)
