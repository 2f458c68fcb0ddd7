"""What may be asked of `rmap`, and how."""

from __future__ import annotations

from gdbtools.commands.model import Argument, Command, Kind, loaded

RMAP = Command(
    name="rmap",
    summary="List every address that leads to a physical page",
    description=(
        "Look through every regime that a CPU is using or has loaded, both stages where there are two, for what leads\n"
        "to these physical addresses, with rights and memory type. Mappings of one page that have two memory types or\n"
        "shareabilities are a finding.\n"
        "\n"
        "With --roots the roots that find-roots lists are looked through besides: those of other\n"
        "processes, and of guests that do not run."
    ),
    arguments=(
        Argument("address", "physical address, or with --virtual a virtual one", Kind.ADDRESS, many="+"),
        Argument("--virtual", "take each ADDRESS for a virtual one, and ask for where it leads", Kind.FLAG),
        Argument("--roots", "look through every root that find-roots lists, too", Kind.FLAG),
    ),
    implementation=loaded("rmap"),
)
