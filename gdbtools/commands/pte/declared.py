"""What may be asked of `pte`, and how."""

from __future__ import annotations

from gdbtools.commands.arguments import BREAK, DRY_RUN, GRANULES, INVALIDATE, LEVEL, LIVE, REGIME
from gdbtools.commands.model import Argument, Command, Kind, loaded

PTE = Command(
    name="pte",
    summary="Change fields of the descriptor that translates an address, or decode a value",
    description=(
        "pte ADDRESS FIELD=VALUE... changes the guest; pte VALUE, without FIELD=VALUE, decodes a descriptor and reads\n"
        "and changes nothing, with a guest or without.\n"
        "\n"
        "Change any field of the last descriptor on the way of ADDRESS (or of the one at --level), by name: AF=1,\n"
        "OutputAddress=0x40400000; or all of it by descriptor=0x...: plan, compare, write, read back. Says of each\n"
        "field whether a live entry may change it in place; what needs break-before-make is refused without --break,\n"
        "or --live. `mmu undo` takes it back in the same way.\n"
        "\n"
        "VALUE is hexadecimal, as a log prints it, and is decoded for every level where it may stand, or for --level;\n"
        "with a granule of 4KB and for stage 1 of a kernel, unless --granule, --bits, --stage or --regime say\n"
        "otherwise; what does not fit the shorter of two formats is of the longer."
    ),
    arguments=(
        Argument(
            "address",
            "the virtual address whose descriptor is to change; or a descriptor's value, to decode",
            Kind.ADDRESS,
            alone=Kind.WORD,
            metavar="ADDRESS|VALUE",
        ),
        Argument("change", "what is to be otherwise: a field and its new value", Kind.FIELD_CHANGE, many="*"),
        LEVEL,
        Argument("--granule", "of a value: the translation granule (default: 4k)", Kind.CHOICE, GRANULES),
        Argument(
            "--bits",
            "of a value: how long it is, where an architecture has two formats (default: what it fits)",
            Kind.CHOICE,
            ("32", "64"),
        ),
        Argument("--stage", "of a value: whose descriptor it is (default: 1)", Kind.CHOICE, ("1", "2")),
        INVALIDATE,
        BREAK,
        LIVE,
        DRY_RUN,
        REGIME,
    ),
    implementation=loaded("pte"),
    may_be_sourceless=True,
    changes_guest=True,
)
