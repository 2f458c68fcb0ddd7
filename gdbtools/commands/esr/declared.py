"""What may be asked of `esr`, and how."""

from __future__ import annotations

from gdbtools.commands.model import Argument, Command, Kind, loaded

ESR = Command(
    name="esr",
    summary="Decode an exception syndrome",
    description=(
        "Decode a syndrome value: what it says, what the address registers then hold, and every field. Without a\n"
        "value, the syndrome this CPU holds, and which control register's bit trapped the instruction."
    ),
    arguments=(
        Argument("value", "the syndrome, in hexadecimal (default: the current one)", Kind.WORD, many="?"),
        Argument("--class", "the value is an ISS alone, of this class: 0x24 is a guest's Data Abort", Kind.WORD),
    ),
    implementation=loaded("esr"),
    may_be_sourceless=True,
)
