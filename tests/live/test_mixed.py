"""catch, watch and working-set on a guest most of whose exceptions are others than they are about: mixed/."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.live.session import MIXED, Live
from tests.live.test_storm import checksum, finished, found, storm
from tests.live.test_working_set import ARENA, FOREVER, PAGE, touched

pytestmark = pytest.mark.guest

STACK, SHARED = 480, 4 * 512
"""Leaves of guest.h."""


@contextmanager
def unscanned(gdb_path: str, cpus: int = 1) -> Iterator[Live]:
    """The guest before its only round: no access flag is cleared, and it stops where all has been touched."""
    with storm(gdb_path, cpus, 1, MIXED) as live:
        live.say("set var *(unsigned long *)&scanning = 0")
        live.say("hbreak *interrupts_init if $x0 == 0")
        live.say("continue")
        live.say("delete")
        live.say("hbreak finished")
        yield live


def leaves(cpus: int) -> set[int]:
    """Return the addresses of what so many CPUs touch in a round."""
    own = {number + 512 * cpu for cpu in range(cpus) for number in (*range(STACK), STACK)}
    return {ARENA + number * PAGE for number in own | set(range(SHARED, SHARED + 64))}


def test_a_catch_stops_at_each_fault_of_its_kind_and_at_nothing_else(gdb_path: str) -> None:
    with unscanned(gdb_path) as live:
        live.say("set mmu-at-stop nothing")
        live.say("mmu catch permission")
        seen: dict[str, str] = {}
        while "finished" not in (said := live.say("continue")):
            assert "a fault loop" not in said
            # Now and then QEMU has not stepped, and the same exception is caught twice.
            (fault,) = live.ask("esr")
            seen[live.inside("value('$FAR_EL1')")] = fault["fault"]["kind"]
        live.say("delete")
        live.gdb.run("continue")
        copied = found(finished(live), "copied")
    assert list(seen.values()) == ["permission"] * int(copied)


def test_a_copy_on_write_is_told_with_what_it_did_and_who_did_it(gdb_path: str) -> None:
    copied = ARENA + 400 * PAGE
    with unscanned(gdb_path) as live:
        # The page is shared before it is copied.
        live.say("hbreak run_user")
        live.say("continue")
        live.say("delete")
        live.say(f"mmu watch {copied:#x}")
        made = [live.say("continue") for _ in range(2)]
    assert "AP 0b11 -> 0b01" not in made[0]
    assert all(re.search(r"writer +0x[0-9a-f]+ +copy_on_write", said) for said in made), made
    assert "invalid entry -> page in the level 3" in made[1]


@pytest.mark.parametrize("cpus", [1, 4])
def test_a_working_set_is_what_is_touched_whoever_maps_it_meanwhile(gdb_path: str, cpus: int) -> None:
    with unscanned(gdb_path, cpus) as live:
        (answer,) = live.ask(f"working-set {ARENA:#x},+{(SHARED + 64) * PAGE:#x} --interval {FOREVER}")
        by: dict[int, Any] = touched(answer["samples"][0])
        assert answer["ended"].startswith("breakpoint ")
        live.say("delete")
        live.gdb.run("continue")
        said = finished(live)
    assert set(by) == leaves(cpus)
    assert {each["cpu"] for each in by.values() if each} == set(range(cpus))
    assert {each["el"] for each in by.values() if each} == {0, 1}
    assert found(said, "checksum") == checksum(gdb_path, cpus, 1, MIXED)
