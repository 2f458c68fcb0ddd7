"""What a command works on, for as long as a face keeps it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from gdbtools.arch.capabilities import DirtyConvention
from gdbtools.errors import Unavailable
from gdbtools.machine.model import Live, Machine

if TYPE_CHECKING:
    from gdbtools.analysis.devices.second_stage_cause import KeptTrees
    from gdbtools.analysis.faults.descriptor_history import DescriptorHistory
    from gdbtools.analysis.guests.census import Censuses
    from gdbtools.analysis.own_kernel import FoundKernel
    from gdbtools.analysis.reverse_index import ReverseIndexes
    from gdbtools.repair.log import Log

Open = Callable[[str, str | None], Machine]
"""Open a source by what the user calls it, with a registers file or without: a face's own way."""


def no_input() -> BinaryIO:
    """Refuse, for a session whose face has no standard input of its own."""
    raise Unavailable("standard input cannot be read here; name a file")


def opens_nothing(name: str, registers: str | None) -> Machine:  # noqa: ARG001
    """Refuse, for a session whose face opens no source."""
    raise Unavailable(f"{name} cannot be opened here; use gdbtools outside GDB")


@dataclass(frozen=True, kw_only=True)
class OfGuest:
    """What every command is asked that may answer for one of a hypervisor's guests."""

    guest: str | None = None
    """Which, as `guests` numbers them; None: for whatever the CPU is in."""
    stage_only = False
    """Whether it is its second stage that is asked, unless a regime is named."""


@dataclass(frozen=True, kw_only=True)
class OfTask:
    """What every command is asked that may answer for a task of the guest's kernel."""

    task: str | None = None
    """Which, by number or name; None: for whatever the CPU's registers have."""


@dataclass
class Kept:
    """What was worked out for one question and may serve the next: it knows by itself whether it still holds."""

    @cached_property
    def indexes(self) -> ReverseIndexes:
        """Where regimes lead."""
        from gdbtools.analysis.reverse_index import ReverseIndexes

        return ReverseIndexes()

    @cached_property
    def censuses(self) -> Censuses:
        """What second stages map."""
        from gdbtools.analysis.guests.census import Censuses

        return Censuses()

    @cached_property
    def trees(self) -> KeptTrees:
        """Which device trees are in guests' memory."""
        from gdbtools.analysis.devices.second_stage_cause import KeptTrees

        return KeptTrees(self.censuses)

    kernel: FoundKernel | None = None
    """The guest's kernel, as far as it was asked about."""


@dataclass
class Session:
    """What a command works on: a machine, the user's settings, and what was written to the guest and seen of it.

    `open` is for commands that look at another source besides.  `log`, `history` and `kept` are those of a face that
    keeps them from one command to the next; without, they begin when they are first asked for.
    """

    machine: Machine
    log: Log | None = None
    history: DescriptorHistory | None = None
    resume_wanted: bool = False
    """Set by a command whose answer is to be shown before the guest runs on; the face then resumes it."""
    called: str = "SOURCE"
    """What the user calls the source, as it stands behind `-s`."""
    source_words: Sequence[str] | None = None
    """What opens the source again, in a shell, behind a command; None where no shell does."""
    open: Open = opens_nothing
    as_it_is: Machine | None = None
    """The machine without what `--guest` has of it taken for otherwise; None where nobody asks for a guest."""
    kept: Kept = field(default_factory=Kept)
    make_sure: Callable[[], None] = lambda: None
    """Raises `Unavailable` if what was read cannot be believed after all: asked before it goes into a file."""
    elf: Path | None = None
    """The file whose symbols name addresses, for a command that opens what it looks at itself."""
    standard_input: Callable[[], BinaryIO] = no_input
    """What is piped to the face, where that is not what it is asked by."""

    @cached_property
    def written(self) -> Log:
        """What was written to the guest."""
        from gdbtools.repair.log import Log

        return Log() if self.log is None else self.log

    @cached_property
    def seen(self) -> DescriptorHistory:
        """What was seen of its descriptors."""
        from gdbtools.analysis.faults.descriptor_history import DescriptorHistory

        return DescriptorHistory() if self.history is None else self.history

    @property
    def dirty(self) -> DirtyConvention:
        """How the guest marks what is dirty, as far as somebody has stated it."""
        return self.machine.architecture.dirty

    @property
    def live(self) -> Live:
        """The running guest, for commands that need one."""
        if self.machine.live is None:
            raise Unavailable("this needs a live guest, and a dump is not one; attach GDB to QEMU's gdbstub")
        return self.machine.live
