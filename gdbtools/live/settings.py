"""The settings that commands obey: `set mmu-dirty` and its like, known to GDB from the start."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import gdb

from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.capabilities import DirtyConvention

AT_STOP = ("nothing", "verdict", "fault")
ALL = "all"
VECTORS: Final[Mapping[str, tuple[str, ...]]] = {
    ALL: (),
    **{
        group: tuple(entry for each in ARCHITECTURES.identities for entry in each.vector_groups.get(group, ()))
        for group in dict.fromkeys(name for each in ARCHITECTURES.identities for name in each.vector_groups)
    },
}
"""`set mmu-vectors`: which entries `mmu catch` stops at; the names are the architectures' own."""


class Setting(gdb.Parameter):
    """One of the settings that commands obey."""

    def __init__(self, name: str, choices: Sequence[str], what: str, doc: str) -> None:
        self.__doc__ = doc
        self.set_doc = f"Set {what}."
        self.show_doc = f"Show {what}."
        super().__init__(name, gdb.COMMAND_DATA, gdb.PARAM_ENUM, list(choices))
        self.value = choices[0]
        self._what = what

    def get_set_string(self) -> str:
        return ""

    def get_show_string(self, value: str) -> str:
        return f"{self._what[0].upper()}{self._what[1:]} is {value}."


class RegistersFile(gdb.Parameter):
    """`--registers FILE` of the offline face, for as long as GDB lives."""

    def __init__(self) -> None:
        self.__doc__ = (
            "A JSON object of register names to hex strings, by the names that the manual has; it supplies or\n"
            "overrides what the core file has of the selected CPU. Empty for none."
        )
        self.set_doc = "Set the file with the registers that a core file lacks."
        self.show_doc = "Show the file with the registers that a core file lacks."
        super().__init__("mmu-registers", gdb.COMMAND_DATA, gdb.PARAM_OPTIONAL_FILENAME)
        self.value = ""
        self._before: object = ""

    def get_set_string(self) -> str:
        """Refuse what is no file, and keep what was there: nobody else will say it before the next answer."""
        path = self.path
        if path is not None and not path.is_file():
            self.value = self._before
            raise gdb.GdbError(f"{path} is no file; name a JSON object of register names to hex strings")
        self._before = self.value
        return ""

    def get_show_string(self, value: str) -> str:
        return f"The file with the registers that a core file lacks is {value or 'none'}."

    @property
    def path(self) -> Path | None:
        return Path(str(self.value)).expanduser() if self.value else None


class Settings:
    """All of them."""

    def __init__(self) -> None:
        self.dirty = Setting(
            "mmu-dirty",
            [each.value for each in DirtyConvention],
            "how the guest marks a leaf that was written: read so, and recorded so by repairs",
            "none: nobody says, and repairs record nothing. bit55 to bit58: that software bit of a stage 1 leaf\n"
            "(OSv and Linux use bit55). dbm: as hardware does, AP[2] clear where DBM is set; that is always read.",
        )
        self.at_stop = Setting(
            "mmu-at-stop",
            AT_STOP,
            "what is printed when `mmu catch` stops",
            "nothing, the verdict, or all of mmu fault.",
        )
        self.vectors = Setting(
            "mmu-vectors",
            list(VECTORS),
            "the vector entries that `mmu catch` stops at",
            "all, current EL, or lower EL.",
        )
        self.registers = RegistersFile()
