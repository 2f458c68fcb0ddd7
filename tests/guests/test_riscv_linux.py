"""A real Linux for riscv64: our map against QEMU's `info mem` page for page, and against a process's own pagemap."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator

import pytest

from gdbtools.addresses import VA
from gdbtools.analysis.mappings import mappings
from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.model import Mapped, Run
from gdbtools.arch.walk import walk
from gdbtools.errors import Unavailable
from tests.guests.audits import PASSED, audited, checks_itself, unexplained
from tests.guests.linux import filling, translated
from tests.guests.packages import QEMU_SUITES
from tests.guests.riscv import ours
from tests.guests.riscv.linux import COMMAND_LINES, PAGE_BYTES, RiscvLinux, booted, info_mem, pages
from tests.said import say
from tests.tables import reader

RIGHTS = {"r": "read", "w": "write", "x": "execute"}
QUICK = "system"
"""Whose QEMU every scheme is tried on in each run."""
BUFFER_MB = 16
SHAPES = [(name, scheme) for name in ("system", *QEMU_SUITES) for scheme in COMMAND_LINES]

pytestmark = [
    pytest.mark.guest,
    pytest.mark.skipif(not ours.decoded(64), reason="riscv64 is not decoded by gdbtools"),
]


@pytest.fixture(
    scope="module",
    params=[pytest.param(each, marks=() if each[0] == QUICK else pytest.mark.full) for each in SHAPES],
    ids="-".join,
)
def guest(request: pytest.FixtureRequest) -> Iterator[RiscvLinux]:
    name, scheme = request.param
    try:
        guest = booted(scheme, name)
    except Unavailable as why:
        pytest.skip(str(why))
    with guest:
        used = re.search(r"mmu\s*: (\w+)", guest.run("cat /proc/cpuinfo"))
        assert used is not None
        assert used[1] == scheme.lower()
        say(f"{scheme}: QEMU {guest.qemu.version}, booted in {guest.boot_seconds:.1f} s")
        yield guest


def mapped(guest: RiscvLinux) -> tuple[dict[int, int], dict[int, str]]:
    """Return of a stopped guest where each page leads, and what S-mode, or else U-mode, may do there."""
    arch = ARCHITECTURES["riscv64"]
    found, rights = {}, {}
    for run in mappings(arch, reader(guest.registers()), guest.read, "s"):
        if not isinstance(run, Run) or run.output is None:
            continue
        granted = run.attributes.rights
        text = "".join(
            letter if any(getattr(each, right) for each in granted.values()) else "-"
            for letter, right in RIGHTS.items()
        )
        for at in range(0, run.size_bytes, PAGE_BYTES):
            found[run.first + at] = run.output + run.offset_of(run.first + at)
            rights[run.first + at] = text
    return found, rights


def test_the_map_is_what_info_mem_lists_page_for_page(guest: RiscvLinux) -> None:
    guest.stop()
    try:
        listed = info_mem(guest)
        found, rights = mapped(guest)
    finally:
        guest.cont()
    expected = pages(listed)
    say(f"{len(expected)} pages in {len(listed)} lines")
    assert len(expected) > 100_000
    assert found == expected
    told = {each.first + at: each.rights[:3] for each in listed for at in range(0, each.size_bytes, PAGE_BYTES)}
    assert rights == told


def test_every_present_page_of_a_process_is_where_its_own_pagemap_says(guest: RiscvLinux) -> None:
    """By `map`, and by a walk of each: text, stack and a buffer that is filled again and again."""
    with filling(guest, BUFFER_MB, PAGE_BYTES) as frames:
        own, walked = translated(guest, frames, lambda: mapped(guest)[0], lambda: by_walk(guest, frames), 50)
    say(f"{len(frames)} pages of a process, each by map and by walk")
    assert len(frames) > BUFFER_MB << 8
    assert own == frames
    assert walked == frames


def by_walk(guest: RiscvLinux, addresses: Iterable[int]) -> dict[int, int]:
    """Return where each address of a stopped guest leads; those that lead nowhere are left out."""
    register, found = reader(guest.registers()), {}
    regime = ARCHITECTURES["riscv64"].regime_for(register, VA(0))
    for va in addresses:
        outcome = walk(regime, VA(va), guest.read).outcome
        if isinstance(outcome, Mapped):
            found[va] = int(outcome.address)
    return found


DEVICE_TREE = bytes.fromhex("d00dfeed")
"""How a flattened device tree begins."""


def test_an_audit_finds_nothing_but_the_mapping_of_the_device_tree(guest: RiscvLinux) -> None:
    """The kernel maps the 2 MiB around it for its whole life, writable, and what else is there are tables by now."""
    guest.run("cp /sys/firmware/fdt /fdt")
    size_bytes, digest = (guest.run(f"{command} /fdt").split()[0] for command in ("wc -c", "md5sum"))
    assert all(line.endswith(PASSED) for line in checks_itself(guest).splitlines())
    guest.stop()
    try:
        found = audited(guest, "riscv64", guest.registers())
        written = [each for each in found.findings if each.rule.name == "writable-table"]
        places = [each.output & -(1 << 21) for each in written if each.output is not None]
        blocks = [guest.read(place, 1 << 21) for place in places]
    finally:
        guest.cont()
    assert unexplained(found, writable_table=1) == []
    for block in blocks:
        at = block.index(DEVICE_TREE)
        assert hashlib.md5(block[at : at + int(size_bytes)]).hexdigest() == digest
