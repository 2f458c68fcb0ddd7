"""What may be asked of `syndrome`, and how."""

from __future__ import annotations

from typing import Final

from gdbtools.commands.model import Argument, Command, Kind, loaded

_NAMES: Final = ("esr", "scause", "pf", "dfsr")
"""What each architecture calls it, as its `Identity` has it too: by that name a value by itself is one of its."""

SYNDROME = Command(
    name="syndrome",
    summary="Decode an exception syndrome",
    description=(
        "Decode a syndrome value: what it says, what the address registers then hold, and every field. Without a\n"
        "value, the syndrome this CPU holds, and which control register's bit trapped the instruction. A value of no\n"
        f"source is of --arch, or of the architecture that calls it so: {', '.join(_NAMES)} are other names of this."
    ),
    arguments=(
        Argument("value", "the syndrome, in hexadecimal (default: the current one)", Kind.WORD, many="?"),
        Argument("--fetch", "the value is of AArch32's IFSR, of a prefetch abort (default: of DFSR)", Kind.FLAG),
        Argument("--class", "the value is an ISS alone, of this class: 0x24 is a guest's Data Abort", Kind.WORD),
    ),
    implementation=loaded("syndrome"),
    may_be_sourceless=True,
    aliases=_NAMES,
)
