"""What a user can ask: the commands, listed in the order that help shows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gdbtools.commands import capture, catch, esr, fault, fixup, regs, service, status, walk
from gdbtools.commands.model import Command

COMMANDS: Final[Mapping[str, Command]] = {
    module.COMMAND.name: module.COMMAND for module in (status, regs, esr, walk, fault, catch, fixup, service, capture)
}
