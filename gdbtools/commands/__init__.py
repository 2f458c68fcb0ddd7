"""What a user can ask: the commands, listed in the order that help shows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gdbtools.commands import capture, catch, esr, fault, fixup, map, regs, service, status, walk, watch  # noqa: A004
from gdbtools.commands.model import Command

_MODULES = (status, regs, esr, walk, map, fault, catch, fixup, service, watch, capture)
COMMANDS: Final[Mapping[str, Command]] = {module.COMMAND.name: module.COMMAND for module in _MODULES}
