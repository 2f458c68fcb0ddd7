"""The options that say how a source is opened: the same for every face that opens one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypedDict

from gdbtools.commands.arguments import DIRTY_CONVENTIONS, RECORD
from gdbtools.commands.model import Argument, Kind
from gdbtools.commands.parser import Parser, add

SOURCE_OPTIONS: Final = (
    Argument("--stop", "hold a guest that runs for as long as it is read (qmp:)", Kind.FLAG),
    Argument("--arch", "whose a source is that does not say so itself", metavar="NAME"),
    Argument("--registers", "a JSON object of register names to hex strings"),
    Argument("--cpu", "which CPU of the source (default: the one that was current)", Kind.NUMBER),
    RECORD,
    Argument(
        "--dirty-convention",
        "how the guest marks what was written: that software bit of a leaf, as `set mmu-dirty` in GDB",
        Kind.CHOICE,
        choices=DIRTY_CONVENTIONS,
    ),
)


def add_source_options(parser: Parser) -> None:
    """Add them to a parser that is no command's, and so reads its own values."""
    for each in SOURCE_OPTIONS:
        add(parser, each, int if each.kind is Kind.NUMBER else str)


class SourceChoice(TypedDict):
    """What they say, as `gdbtools.machine.sources.opened` takes it beside the source itself."""

    registers: str | None
    cpu: int | None
    stop: bool
    dirty: str | None
    architecture: str | None
    record: int | None


@dataclass(frozen=True)
class Sources:
    """What is to be opened and how, and the file whose symbols name addresses in it."""

    names: tuple[str, ...]
    choice: SourceChoice
    elf: str | None

    @property
    def words(self) -> tuple[str, ...]:
        """What says the same again behind another command."""
        choice = self.choice
        valued = {
            "--arch": choice["architecture"],
            "--registers": choice["registers"],
            "--cpu": choice["cpu"],
            "--record": choice["record"],
            "--dirty-convention": choice["dirty"],
        }
        said = [word for name in self.names for word in ("-s", name)]
        said += [word for option, value in valued.items() if value is not None for word in (option, str(value))]
        return (*said, *(["--stop"] if choice["stop"] else []))


def sources(values: Mapping[str, Any]) -> Sources:
    """Return what `--source`, `--elf` and the options of a source say, by `Argument.key`."""
    return Sources(tuple(values["source"] or ()), source_choice(values), values["elf"])


def source_choice(values: Mapping[str, Any]) -> SourceChoice:
    """Return what the values of these options say, by `Argument.key`; others beside them are no matter."""
    return {
        "registers": values["registers"],
        "cpu": values["cpu"],
        "stop": values["stop"],
        "dirty": values["dirty_convention"],
        "architecture": values["arch"],
        "record": values["record"],
    }
