"""What the manuals say: pure functions and data, no I/O.  The architectures are listed here."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from gdbtools.arch import aarch32, aarch64, riscv, x86_64
from gdbtools.arch.identity import Emulator, Identity
from gdbtools.errors import ArchitectureUnsaid, UsageError

if TYPE_CHECKING:
    from gdbtools.arch.capabilities import Architecture


class Architectures(Mapping[str, "Architecture"]):
    """Each architecture by its name, imported when it is first looked at: its tables are most of what there is."""

    def __init__(self, identities: Sequence[Identity]) -> None:
        self.identities = list(identities)

    def __getitem__(self, name: str) -> Architecture:
        return self.identity(name).architecture()

    def __contains__(self, name: object) -> bool:
        return any(each.name == name for each in self.identities)

    def __iter__(self) -> Iterator[str]:
        return (each.name for each in self.identities)

    def __len__(self) -> int:
        return len(self.identities)

    def identity(self, name: str) -> Identity:
        """Return by what the architecture of that name is known; raise `KeyError` for none."""
        for each in self.identities:
            if each.name == name:
                return each
        raise KeyError(name)

    def spelled(self, word: str) -> str:
        """Return the name of the architecture that a word stands for in any case; for none the word itself."""
        return next((each.name for each in self.identities if word.lower() in (each.name, *each.spellings)), word)

    def of_syndrome(self, name: str) -> str | None:
        """Return the architecture that calls its syndrome so, the first of them; None where none does."""
        return next((each.name for each in self.identities if each.syndrome == name), None)

    def check_called(self, name: str, architecture: Architecture) -> None:
        """Raise `UsageError` where a command was asked by the name that another architecture has for its syndrome."""
        whose, own = self.of_syndrome(name), architecture.identity
        if whose is not None and own.syndrome != name:
            raise UsageError(
                f"`{name}` is of {self.identity(whose).title}, and this source of {own.title}: "
                f"ask `{own.syndrome}`, or `syndrome`, which goes by the source"
            )

    @property
    def titles(self) -> str:
        """What is decoded here, in words."""
        return ", ".join(each.title for each in self.identities)

    @property
    def stub_names(self) -> Mapping[str, str]:
        """What QEMU's gdbstubs call registers that they do not call as the manuals do."""
        return {name: own for each in self.identities for name, own in each.stub_names.items()}

    def of_gdb(self, name: str) -> Architecture | None:
        """Return what GDB calls `name`, None for what is not decoded here."""
        return next((each.architecture() for each in self.identities if name in each.gdb_names), None)

    def of_elf(self, machine: str | int, bits: int = 64) -> Identity | None:
        """Return what pyelftools calls `machine`, by name or number, in files of so many bits; None for no such.

        Where there is none of so many bits it may be a narrower one: captures have 64 bits, whatever they are of.
        """
        named = [each for each in self.identities if machine in (each.elf_machine, each.elf_number)]
        fitting = [each for each in named if each.bits <= bits]
        return max(fitting, key=lambda each: each.bits, default=None)

    def emulator_of(self, program: str) -> Emulator | None:
        """Return the QEMU whose program has that name, None for a name that is none of theirs."""
        return next((each.emulator for each in self.identities if each.emulator.program == program), None)

    def chosen(self, wanted: str | None = None, registers: Collection[str] = (), bits: int = 0) -> str:
        """Return the name of the architecture that is wanted, or that registers of these names belong to.

        Where several have registers of such names, it is that which has most of them, and registers of so many bits.
        Where nobody says, it is the only one that there is.  Raises `ArchitectureUnsaid` where that leaves a choice.
        """
        if wanted is not None:
            wanted = self.spelled(wanted)
            if wanted not in self:
                raise UsageError(f"{wanted!r} is not decoded here; {', '.join(self)} is")
            return wanted
        told = {each.name: sum(map(bool, map(each.register_names.fullmatch, registers))) for each in self.identities}
        most = max(told.values())
        left = [each for each in self.identities if told[each.name] == most and each.bits >= bits] or self.identities
        if len(left) > 1:
            raise ArchitectureUnsaid(*(each.name for each in left))
        return left[0].name


ARCHITECTURES: Final = Architectures((aarch64.IDENTITY, *riscv.IDENTITIES, x86_64.IDENTITY, aarch32.IDENTITY))
