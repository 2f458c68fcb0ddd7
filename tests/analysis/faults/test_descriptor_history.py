"""What descriptors were when somebody last looked."""

from __future__ import annotations

from gdbtools.analysis.faults.descriptor_history import DescriptorHistory, Sighting, steps_of
from gdbtools.arch.aarch64.architecture import ARCHITECTURE as ARM
from gdbtools.arch.model import Walk
from gdbtools.arch.walk import walk
from tests.arch.aarch64.truth.machine import Memory, guest
from tests.tables import Tables, reader

VA, PA = 0x1234_5000, 0x4200_0000


def walked(t: Tables) -> Walk:
    return walk(ARM.regime_for(reader(t.registers()), VA), VA, t.read)


def test_of_one_stop_the_first_look_counts() -> None:
    t, seen = Tables(), DescriptorHistory()
    leaf = t.map(VA, PA, AF=0)
    first = t.memory[leaf]
    seen.remember(steps_of(walked(t)), cpu=2)
    t.map(VA, PA)
    seen.remember(steps_of(walked(t)), cpu=1)
    assert seen.here(leaf) == Sighting(leaf, 3, first, 2)
    assert seen.before(leaf) is None


def test_after_the_guest_has_run_it_is_what_was_seen_before() -> None:
    t, seen = Tables(), DescriptorHistory()
    leaf = t.map(VA, PA, AF=0)
    seen.remember(steps_of(walked(t)), cpu=0)
    seen.moved_on()
    assert (seen.here(leaf), seen.before(leaf)) == (None, Sighting(leaf, 3, t.memory[leaf], 0))
    t.map(VA, PA)
    seen.remember(steps_of(walked(t)), cpu=1)
    # The last look, however long ago: stops in between that did not look change nothing.
    seen.moved_on()
    seen.moved_on()
    assert seen.before(leaf) == Sighting(leaf, 3, t.memory[leaf], 1)


def test_both_stages_are_seen() -> None:
    memory = Memory()
    memory.stage1(0, va=0x5000, output=0x6543_2000)
    memory.identity(0b1111 << 2 | 1 << 6)
    memory.stage2(0, 0x6543_2000, 0x7000_0000)
    found = walk(ARM.regime_for(reader(guest()), 0x5000), 0x5000, memory.read)
    assert len(steps_of(found)) == 4 + 3
    unmapped = Memory()
    unmapped.stage1(0, va=0x5000, output=0x6543_2000)
    refused = walk(ARM.regime_for(reader(guest()), 0x5000), 0x5000, unmapped.read)
    assert refused.fetch is not None
    assert steps_of(refused)[0].pa == refused.fetch.via.steps[0].pa
