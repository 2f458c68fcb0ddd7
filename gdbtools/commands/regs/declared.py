"""What may be asked of `regs`, and how."""

from __future__ import annotations

from gdbtools.commands.model import Argument, Command, Kind, loaded

REGS = Command(
    name="regs",
    summary="Show the translation and fault registers",
    description=(
        "Without names, the registers that translate now and those of the last exception, a line each; --all has\n"
        "every field named and explained of all that this source has, and NAME those of one. Those that say which\n"
        "instructions trap have to be named. NAME.FIELD is one field. --json always has all.\n"
        "\n"
        "NAME=VALUE decodes a value, as a log prints it (NAME=0x200803519, or 'NAME: 96000046'), and reads nothing:\n"
        "no source is needed. Values without 0x are hexadecimal."
    ),
    arguments=(
        Argument(
            "name",
            "register, in any case and without its level if need be; a field of one; or a value for it",
            Kind.REGISTER,
            many="*",
            metavar="NAME[=VALUE]",
        ),
        Argument("--all", "every field of every register of translation and of faults", Kind.FLAG),
    ),
    implementation=loaded("regs"),
    may_be_sourceless=True,
)
