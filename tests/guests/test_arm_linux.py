"""A real 32-bit Linux: our map against QEMU's own walker, page by page, and against a process's own pagemap."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from gdbtools.addresses import VA
from gdbtools.analysis.mappings import mappings
from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.model import Mapped, ReadRegister, Run
from gdbtools.arch.walk import walk
from gdbtools.errors import Unavailable
from tests.guests.arm.linux import KERNELS, LINEAR, PAGE_BYTES, ArmLinux, booted
from tests.guests.linux import filling, translated
from tests.guests.states import SEED
from tests.said import say
from tests.tables import reader

BUFFER_MB = 8
SAMPLED = 1500
USER = 0b10000
ARM = ARCHITECTURES["aarch32"]

pytestmark = [pytest.mark.guest, pytest.mark.full]


@pytest.fixture(scope="module", params=KERNELS)
def guest(request: pytest.FixtureRequest) -> Iterator[ArmLinux]:
    try:
        guest = booted(request.param)
    except Unavailable as why:
        pytest.skip(str(why))
    with guest:
        say(f"{request.param} descriptors: QEMU {guest.qemu.version}, booted in {guest.boot_seconds:.1f} s")
        yield guest


def registers(guest: ArmLinux) -> ReadRegister:
    return reader(guest.registers())


def mapped(guest: ArmLinux) -> dict[int, int]:
    """Return of a stopped guest where each page leads."""
    found = {}
    for run in mappings(ARM, registers(guest), guest.read, "pl1"):
        if isinstance(run, Run) and run.output is not None and run.fault is None:
            for at in range(run.first, run.first + run.size_bytes, PAGE_BYTES):
                found[at] = run.output + run.offset_of(VA(at))
    return found


def test_the_kernels_pages_are_where_qemu_says_and_what_it_says_is_unmapped_is(guest: ArmLinux) -> None:
    draw = random.Random(SEED)
    guest.stop()
    try:
        found = {va: pa for va, pa in mapped(guest).items() if va >= LINEAR}
        there = draw.sample(sorted(found), SAMPLED)
        elsewhere = [draw.randrange(LINEAR, 1 << 32, PAGE_BYTES) for _ in range(SAMPLED)]
        said = {va: guest.gva2gpa(va) for va in (*there, *elsewhere)}
    finally:
        guest.cont()
    say(f"{len(found)} pages of the kernel, {len(said)} of which QEMU was asked about")
    assert len(found) > 50_000
    assert said == {va: found.get(va) for va in said}


def test_every_present_page_of_a_process_is_where_its_own_pagemap_says(guest: ArmLinux) -> None:
    """By `map`, and by a walk of each: text, stack and a buffer that is filled again and again."""
    with filling(guest, BUFFER_MB, PAGE_BYTES) as said:
        # The vectors' page is the kernel's.
        frames = {va: pa for va, pa in said.items() if va < LINEAR}
        own, walked = translated(guest, frames, lambda: mapped(guest), lambda: by_walk(guest, frames), 100)
    say(f"{len(frames)} pages of a process, each by map and by walk")
    assert len(frames) > BUFFER_MB << 8
    assert own == frames
    assert walked == frames


def by_walk(guest: ArmLinux, addresses: dict[int, int]) -> dict[int, int]:
    """Return where each address of a stopped guest leads; those that lead nowhere are left out."""
    register, found = registers(guest), {}
    for va in addresses:
        outcome = walk(ARM.regime_for(register, VA(va), "pl1"), VA(va), guest.read).outcome
        if isinstance(outcome, Mapped):
            found[va] = int(outcome.address)
    return found
