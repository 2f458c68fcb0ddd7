"""How to look closer at a finding."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from gdbtools.analysis.audit.findings import Finding


def next_command(each: Finding) -> str:
    """Return the command that looks closer at a finding; empty where it is of no address."""
    if each.range is None:
        return ""
    if each.range.is_kept:
        return f"walk {each.first:#x} --regime {each.range.regime_name} --guest {each.range.guest}"
    leads = "".join(f" --with {name}={value:#x}" for name, value in each.range.registers.items())
    regime = f" --regime {each.range.regime_name}" if each.range.regime_name else ""
    return f"walk {each.first:#x}{regime}{leads}"


def typed(command: str, source_words: Sequence[str] | None) -> str:
    """Return a command as it is typed where it can be run: in a shell of a source, else in GDB."""
    return f"mmu {command}" if source_words is None else f"gdbtools {command} {shlex.join(source_words)}"
