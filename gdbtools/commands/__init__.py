"""What a user can ask: the commands, listed in the order that help shows them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from gdbtools.commands.audit.declared import AUDIT
from gdbtools.commands.capture.declared import CAPTURE
from gdbtools.commands.catch.declared import CATCH
from gdbtools.commands.clear_af.declared import CLEAR_AF
from gdbtools.commands.diff.declared import DIFF
from gdbtools.commands.explain.declared import EXPLAIN
from gdbtools.commands.fault.declared import FAULT
from gdbtools.commands.find_roots.declared import FIND_ROOTS
from gdbtools.commands.fixup.declared import FIXUP
from gdbtools.commands.guests.declared import GUESTS
from gdbtools.commands.hardware_af.declared import HARDWARE_AF
from gdbtools.commands.map.declared import MAP
from gdbtools.commands.model import Command
from gdbtools.commands.probe.declared import PROBE
from gdbtools.commands.pte.declared import PTE
from gdbtools.commands.redact.declared import REDACT
from gdbtools.commands.regs.declared import REGS
from gdbtools.commands.report.declared import REPORT
from gdbtools.commands.rmap.declared import RMAP
from gdbtools.commands.service.declared import SERVICE
from gdbtools.commands.stage2.declared import STAGE2
from gdbtools.commands.status.declared import STATUS
from gdbtools.commands.syndrome.declared import SYNDROME
from gdbtools.commands.tables.declared import TABLES
from gdbtools.commands.tasks.declared import TASKS
from gdbtools.commands.tlbi.declared import TLBI
from gdbtools.commands.trace.declared import TRACE
from gdbtools.commands.undo.declared import UNDO
from gdbtools.commands.walk.declared import WALK
from gdbtools.commands.watch.declared import WATCH
from gdbtools.commands.who.declared import WHO
from gdbtools.commands.working_set.declared import WORKING_SET

_IN_ORDER = (
    STATUS,
    REGS,
    SYNDROME,
    WALK,
    MAP,
    RMAP,
    TABLES,
    TASKS,
    GUESTS,
    STAGE2,
    AUDIT,
    FAULT,
    EXPLAIN,
    CATCH,
    FIXUP,
    SERVICE,
    HARDWARE_AF,
    TRACE,
    WATCH,
    WHO,
    WORKING_SET,
    PTE,
    CLEAR_AF,
    TLBI,
    PROBE,
    UNDO,
    CAPTURE,
    REDACT,
    FIND_ROOTS,
    DIFF,
    REPORT,
)


class Commands(Mapping[str, Command]):
    """The commands by name: each is listed by the one it has, and found by its other names too."""

    def __init__(self, commands: Sequence[Command]) -> None:
        self._listed = {command.name: command for command in commands}
        self._others = {alias: command for command in commands for alias in command.aliases}

    def __getitem__(self, name: str) -> Command:
        found = self._listed.get(name)
        return self._others[name] if found is None else found

    def __iter__(self) -> Iterator[str]:
        return iter(self._listed)

    def __len__(self) -> int:
        return len(self._listed)

    @property
    def spellings(self) -> tuple[str, ...]:
        """Every name that a command is found by: what it is listed as, and its others behind it."""
        return tuple(name for command in self.values() for name in (command.name, *command.aliases))


COMMANDS: Final = Commands(_IN_ORDER)
