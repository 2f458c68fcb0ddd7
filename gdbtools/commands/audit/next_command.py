"""How to look closer at a finding."""

from __future__ import annotations

from gdbtools.analysis.audit.findings import Finding


def next_command(each: Finding) -> str:
    """Return the command that looks closer at a finding; empty where it is of no address."""
    if each.range is None:
        return ""
    leads = "".join(f" --with {name}={value:#x}" for name, value in each.range.registers.items())
    regime = f" --regime {each.range.regime_name}" if each.range.regime_name else ""
    return f"walk {each.first:#x}{regime}{leads}"
