"""What a user can ask: the commands, listed in the order that help shows them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from gdbtools.commands.model import Command

_IN_ORDER: Final = (
    "status",
    "regs",
    "syndrome",
    "walk",
    "map",
    "rmap",
    "tables",
    "tasks",
    "guests",
    "stage2",
    "audit",
    "fault",
    "explain",
    "catch",
    "fixup",
    "service",
    "hardware-af",
    "trace",
    "watch",
    "who",
    "working-set",
    "pte",
    "clear-af",
    "tlbi",
    "probe",
    "undo",
    "capture",
    "redact",
    "find-roots",
    "diff",
    "report",
)


class Commands(Mapping[str, "Command"]):
    """The commands by name: each is listed by the one it has, and found by its other names too.

    One is declared in a folder of its name, which is imported when it is first looked at.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = tuple(names)

    def __getitem__(self, name: str) -> Command:
        if name in self._names:
            return _declared(name)
        for command in self.values():
            if name in command.aliases:
                return command
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    @property
    def spellings(self) -> tuple[str, ...]:
        """Every name that a command is found by: what it is listed as, and its others behind it."""
        return tuple(name for command in self.values() for name in (command.name, *command.aliases))


@cache
def _declared(name: str) -> Command:
    folder = name.replace("-", "_")
    found: Command = getattr(import_module(f"gdbtools.commands.{folder}.declared"), folder.upper())
    return found


COMMANDS: Final = Commands(_IN_ORDER)
