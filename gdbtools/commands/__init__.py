"""What a user can ask: the commands, listed in the order that help shows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gdbtools.commands.capture.declared import CAPTURE
from gdbtools.commands.catch.declared import CATCH
from gdbtools.commands.clear_af.declared import CLEAR_AF
from gdbtools.commands.diff.declared import DIFF
from gdbtools.commands.esr.declared import ESR
from gdbtools.commands.fault.declared import FAULT
from gdbtools.commands.find_roots.declared import FIND_ROOTS
from gdbtools.commands.fixup.declared import FIXUP
from gdbtools.commands.map.declared import MAP
from gdbtools.commands.model import Command
from gdbtools.commands.probe.declared import PROBE
from gdbtools.commands.pte.declared import PTE
from gdbtools.commands.redact.declared import REDACT
from gdbtools.commands.regs.declared import REGS
from gdbtools.commands.report.declared import REPORT
from gdbtools.commands.service.declared import SERVICE
from gdbtools.commands.status.declared import STATUS
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
    ESR,
    WALK,
    MAP,
    FAULT,
    CATCH,
    FIXUP,
    SERVICE,
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
COMMANDS: Final[Mapping[str, Command]] = {command.name: command for command in _IN_ORDER}
