"""What may be asked of `tables`, and how."""

from __future__ import annotations

from gdbtools.commands.arguments import EVERY_SPACE, REGIME
from gdbtools.commands.model import Argument, Command, Kind, loaded

TABLES = Command(
    name="tables",
    summary="Count what the translation tables hold, and find those that stand out",
    description=(
        "Read every table of a regime once, and of the stage below it: how many there are at each level, how full\n"
        "they are, and what leads to them. Listed are those that stand out: empty ones, those that more than one\n"
        "entry leads to, and those that lead to themselves.\n"
        "\n"
        "With --orphans all of memory is searched besides, for pages that look like tables and that nothing leads\n"
        "to: neither a root in use nor one that find-roots would find. A kernel that frees a table leaves such a page."
    ),
    arguments=(
        REGIME,
        EVERY_SPACE,
        Argument("--all", "list every table", Kind.FLAG),
        Argument("--orphans", "search memory for what looks like a table and is none of these", Kind.FLAG),
    ),
    implementation=loaded("tables"),
)
