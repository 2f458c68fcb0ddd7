"""What a user can ask: the commands, listed in the order that help shows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gdbtools.commands.declared import changing, keeping, looking
from gdbtools.commands.model import Command

_IN_ORDER = (
    looking.STATUS,
    looking.REGS,
    looking.ESR,
    looking.WALK,
    looking.MAP,
    looking.FAULT,
    changing.CATCH,
    changing.FIXUP,
    changing.SERVICE,
    keeping.TRACE,
    changing.WATCH,
    changing.WHO,
    changing.WORKING_SET,
    changing.PTE,
    changing.CLEAR_AF,
    changing.TLBI,
    changing.PROBE,
    changing.UNDO,
    keeping.CAPTURE,
    keeping.REDACT,
    keeping.FIND_ROOTS,
    keeping.DIFF,
    looking.REPORT,
)
COMMANDS: Final[Mapping[str, Command]] = {command.name: command for command in _IN_ORDER}
