"""A stopped guest, audited; and what its kernel says of itself on the same matter."""

from __future__ import annotations

from collections.abc import Mapping

from gdbtools.addresses import PA
from gdbtools.analysis.audit.findings import Finding
from gdbtools.arch import ARCHITECTURES
from gdbtools.commands.audit.run import Audit, Options, run
from gdbtools.commands.session import Session
from gdbtools.machine.layers import FixedRegisters, MemoryRange, Ranges
from gdbtools.machine.model import Cpu, Machine
from tests.guests.linux import LinuxGuest
from tests.said import say

PASSED = "passed, no W+X pages found"
"""What Linux says of its own check (CONFIG_DEBUG_WX)."""


def audited(guest: LinuxGuest, architecture: str, registers: Mapping[str, int], roots: bool = False) -> Audit:
    """Return the audit of a guest that stands still, all of whose RAM is known; of found `roots`, too."""
    size_bytes = guest.memory_bytes
    ram = MemoryRange(PA(guest.ram_base), size_bytes, lambda at, wanted: bytes(guest.ram[at : at + wanted]))
    cpu = Cpu(0, FixedRegisters(registers, "the guest"))
    machine = Machine(ARCHITECTURES[architecture], Ranges((ram,), "the guest"), (cpu,))
    [found] = run(Session(machine), Options(roots=roots))
    assert isinstance(found, Audit)
    asked = [each.rule.name for each in found.checked if not each.unasked]
    say(f"{len(asked)} rules asked of {found.leaves} leaves in {found.tables} tables: {len(found.findings)} findings")
    return found


def unexplained(found: Audit, **explained: int) -> list[Finding]:
    """Return the findings beyond so many of each rule, whose dashes are underscores here, that are known and why."""
    left = dict(explained)
    unknown = []
    for each in found.findings:
        rule = each.rule.name.replace("-", "_")
        left[rule] = left.get(rule, 0) - 1
        unknown += [each] if left[rule] < 0 else []
    return unknown


def checks_itself(guest: LinuxGuest) -> str:
    """Return what a kernel has said of writable and executable mappings, empty where it has no such check."""
    return guest.run("dmesg | grep -o 'Checked W+X mappings: .*'; true").strip()
