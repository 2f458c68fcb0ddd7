"""One violation of each rule is planted in a clean image, on each architecture: it is found, and nothing else is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pytest

from gdbtools.analysis.audit.general import CHECKS
from gdbtools.analysis.audit.rules import RULES
from gdbtools.commands.arguments import AUDITED
from gdbtools.commands.audit.run import Audit, Options, run
from gdbtools.commands.session import Session
from gdbtools.machine.model import Machine
from tests.arch.aarch64.truth import machine as arm
from tests.audited import (
    CODE,
    DEVICE,
    FREE,
    HEAP,
    LINEAR,
    LOWER,
    MEGA,
    OTHER,
    PAGE,
    PLATFORMS,
    RAM,
    RAM_BYTES,
    SECOND,
    USER_RUN,
    VMALLOC,
    clean,
    guests,
)  # fmt: skip

ELSEWHERE = 0x70_0000


@dataclass(frozen=True)
class Planted:
    """A machine with one violation: its first address, and where the entry is that shows it, None where none does."""

    machine: Machine
    first: int
    entry: int | None


Plant = Callable[[str], Planted]


def page(va: int, pa: int, **how: object) -> Plant:
    """Plant one page."""

    def plant(name: str) -> Planted:
        image = clean(name)
        entry = image.map(va, pa, **how)  # type: ignore[arg-type]
        return Planted(image.machine(), va, entry)

    return plant


def executable_linear_map(name: str) -> Planted:
    image = clean(name)
    entry = image.map(LINEAR + CODE, CODE, "r-x", large=True)
    return Planted(image.machine(), LINEAR + CODE, entry)


def contiguous_run(name: str) -> Planted:
    """One member leads elsewhere, and says that it is one of the run."""
    image = clean(name)
    at = USER_RUN + 5 * PAGE
    entry = image.map(at, HEAP + 0x10_0000, "rw-", "rw-", run=True)
    return Planted(image.machine(), at, entry)


def reserved_bits(name: str) -> Planted:
    image = clean(name)
    if image.platform.reserved:
        at = image.map(VMALLOC, FREE, "rw-")
        image.words[at] |= image.platform.reserved
        return Planted(image.machine(), VMALLOC, at)
    # No entry of the highest level maps a page, so its PS is reserved.
    at = image.put(LOWER, VMALLOC, image.platform.table(FREE) | 1 << 7, 1)
    return Planted(image.machine(), VMALLOC & -(1 << 39), at)


def output_size(name: str) -> Planted:
    image = clean(name)
    at = image.map(VMALLOC, image.platform.too_far, "rw-")
    return Planted(image.machine(), VMALLOC, at)


def cpu_difference(name: str) -> Planted:
    image = clean(name)
    image.copied(range(256, 512))
    entry = image.map(VMALLOC, FREE, "rw-", root=OTHER)
    return Planted(image.machine(image.platform.registers(False), image.platform.other_kernel()), VMALLOC, entry)


def shared_table(name: str) -> Planted:
    """Another process has a table of the first one's."""
    image = clean(name)
    image.copied(range(256))
    if name != "aarch64":
        image.copied(range(256, 512))
    return Planted(image.machine(image.platform.registers(False), image.platform.registers(True)), 0, None)


def guest_isolation(name: str) -> Planted:
    image = guests(name)
    image.second(0x10_0000, HEAP + PAGE, OTHER)
    entry = image.second(PAGE, HEAP + PAGE, SECOND)
    return Planted(image.machine(*map(image.platform.guest, (SECOND, OTHER))), PAGE, entry)


def table_of_second_stage(name: str) -> Planted:
    image = guests(name)
    entry = image.second(0x10_0000, SECOND, OTHER)
    return Planted(image.machine(*map(image.platform.guest, (OTHER, SECOND))), 0x10_0000, entry)


PLANTS: Mapping[str, tuple[Plant, ...]] = {
    "writable-executable": (page(VMALLOC, FREE, kernel="rwx"),),
    "user-writable-executable": (page(ELSEWHERE, FREE, user="rwx"),),
    "executable-alias": (page(VMALLOC, FREE, kernel="r-x"),),
    "user-executable-alias": (page(ELSEWHERE, HEAP, kernel="r--", user="r-x"),),
    "writable-table": (page(VMALLOC, LOWER, kernel="rw-"), page(ELSEWHERE, LOWER, user="rw-")),
    "user-accessible-kernel": (page(VMALLOC, CODE + 2 * PAGE, kernel="r--", user="r--"),),
    "executable-linear-map": (executable_linear_map,),
    "kernel-access-flag": (page(VMALLOC, FREE, accessed=False),),
    "mismatched-attributes": (page(VMALLOC, FREE, memory="other"),),
    "beyond-memory": (page(VMALLOC, RAM + 2 * RAM_BYTES, memory="other"),),
    "contiguous-run": (contiguous_run,),
    "reserved-bits": (reserved_bits,),
    "output-size": (output_size,),
    "cpu-difference": (cpu_difference,),
    "shared-table": (shared_table,),
    "guest-isolation": (guest_isolation, table_of_second_stage),
}
LACKS = {
    ("x86_64", "contiguous-run"): "entries have no such bit",
    ("x86_64", "kernel-access-flag"): "hardware always sets the flag",
    ("riscv64", "output-size"): "an entry has no bit for an address beyond the 56 that there are",
}
"""What an architecture cannot break, and why."""
CASES = [
    pytest.param(name, rule, plant, id=f"{name}, {rule}{f' {number}' * (number > 0)}")
    for name in PLATFORMS
    for rule, plants in PLANTS.items()
    for number, plant in enumerate(plants)
    if (name, rule) not in LACKS
]


def audited(machine: Machine, **options: object) -> Audit:
    [found] = run(Session(machine), Options(**options))  # type: ignore[arg-type]
    assert isinstance(found, Audit)
    return found


@pytest.mark.parametrize(("name", "rule", "plant"), CASES)
def test_what_is_planted_is_found_and_nothing_else(name: str, rule: str, plant: Plant) -> None:
    planted = plant(name)
    found = audited(planted.machine).findings
    assert [each.rule.name for each in found] == [rule]
    assert found[0].first == planted.first
    if planted.entry is not None:
        assert found[0].entry is not None
        assert found[0].entry.pa == planted.entry


@pytest.mark.parametrize("name", PLATFORMS)
def test_a_clean_image_has_no_finding_and_every_rule_is_asked_that_can_be(name: str) -> None:
    image = clean(name)
    found = audited(image.machine(image.platform.registers(False), image.platform.registers(False)))
    assert found.findings == []
    assert [each.rule.name for each in found.checked] == [rule.name for rule in CHECKS]
    assert {each.rule.name for each in found.checked if each.unasked} == {"guest-isolation"}
    asked = audited(guests(name).machine(*map(image.platform.guest, (SECOND, OTHER))))
    assert asked.findings == []
    assert "guest-isolation" not in {each.rule.name for each in asked.checked if each.unasked}


@pytest.mark.parametrize("name", PLATFORMS)
def test_a_device_larger_than_memory_is_no_linear_map(name: str) -> None:
    """As the window of a PCI Express configuration space is, beside a linear map of which only a part is there."""
    image = clean(name)
    for at in range(0, 4 * RAM_BYTES, 2 * MEGA):
        image.map(DEVICE + (1 << 30) + at, (1 << 32) + at, memory="device", large=True)
    found = audited(image.machine())
    assert found.findings == []
    assert found.linear is not None
    assert found.linear.base == LINEAR


def test_a_hypervisor_writes_its_tables_by_its_own_linear_map_and_no_kernel_below_may() -> None:
    image = clean("aarch64")
    for at in range(0, RAM_BYTES // 4, 2 * MEGA):
        # Bit 53 is no level's there: EL2 has no user below it.
        entry = image.platform.leaf(RAM + at, True, "rw-", "---", "memory", True, False) & ~(1 << 53)
        image.put(OTHER, (1 << 45) + RAM + at, entry, 3)
    kernel = image.platform.registers(False)
    above = {**kernel, **arm.el2(TTBR0_EL2=OTHER, MAIR_EL2=kernel["MAIR_EL1"], VBAR_EL2=1 << 45)}
    (found,) = audited(image.machine(kernel, above)).findings
    assert found.rule.name == "writable-table"
    assert found.first == LINEAR + OTHER
    assert found.said.startswith(f"EL1 may write the level 0 table at PA {OTHER:#x}")
    assert found.said.endswith("of EL2, which is above it")


def test_every_rule_of_every_system_is_planted_and_can_be_named() -> None:
    assert set(PLANTS) == {rule.name for rule in CHECKS}
    assert tuple(rule.name for rule in RULES) == AUDITED
    assert all(rule.summary and rule.source and rule.of for rule in RULES)
