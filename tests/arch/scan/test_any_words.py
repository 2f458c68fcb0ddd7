"""Whatever words the tables hold, the scan says what the walk says."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gdbtools.arch.model import Fault, Hole, Mapped, Run
from gdbtools.arch.scan import scan
from gdbtools.arch.walk import walk
from gdbtools.errors import Unreadable
from tests.arch.scan.claims import check_order_and_maximality
from tests.arch.scan.drawn import PROPERTY
from tests.arch.scan.layouts import AF, TABLE, Format, Memory
from tests.arch.scan.registers import ARM, stage1_registers
from tests.tables import reader

WORDS = st.one_of(
    st.sampled_from((0, 0b01, 0b10, 0b11, AF | 0b01, AF | 0b11, (1 << 64) - 1, (1 << 48) - 4096 | AF | 0b11)),
    st.integers(0, (1 << 64) - 1),
    st.tuples(st.integers(0, (1 << 36) - 1), st.sampled_from((AF | 0b11, AF | 0b01, 0b11, 0b01))).map(
        lambda drawn: drawn[0] << 12 | drawn[1]
    ),
)
RAMPS = st.lists(
    st.tuples(st.integers(0, 511), WORDS, st.sampled_from((1, 2, 5)), st.sampled_from((0, 1, 2))), max_size=8
)
SHALLOW = Format(12, "", 30), Format(12, "lpa2", 30, 52), Format(16, "lpa", 42, 52), Format(14, "", 36, 40)


@PROPERTY
@given(st.sampled_from(SHALLOW), RAMPS, RAMPS)
def test_whatever_the_tables_hold_the_scan_says_what_the_walk_says(
    layout: Format, upper: list[tuple[int, int, int, int]], lower: list[tuple[int, int, int, int]]
) -> None:
    """Runs of descriptors that carry out of the address field, reserved bits, blocks where none may be."""
    memory = Memory()
    root, child = 0x4000_0000, 0x4001_0000
    memory.add(root, 1 << layout.granule)
    memory.add(child, 1 << layout.granule)
    asked = {0}
    for table, low, words in ((root, layout.levels[-2][1], upper), (child, layout.granule, lower)):
        for index, word, count, step in words:
            for number in range(count):
                value = word + number * (step << low) & (1 << 64) - 1
                memory.put(table + (index + number) % 512 * 8, value, "little")
                asked.add((index + number) % 512 << low)
    memory.put(root, layout.placed(child) | TABLE, "little")
    registers = stage1_registers(layout, root)
    regime = ARM.regime_for(reader(registers), 0, "el1")
    found = list(scan(regime, memory.read))
    check_order_and_maximality(found)
    for address in sorted(asked):
        here = [each for each in found if each.first <= address < each.first + each.size_bytes]
        try:
            walked = walk(regime, address, memory.read)
        except Unreadable:
            assert [type(each) for each in here] == [Hole]
            continue
        if walked.leaf is None:
            assert here == []
            continue
        [run] = here
        assert isinstance(run, Run)
        assert run.output is not None
        outcome = walked.outcome
        assert run.fault == (outcome if isinstance(outcome, Fault) else None)
        assert walked.destination == Mapped(run.output + run.offset_of(address), run.leaf_bytes)
        assert run.attributes == walked.attributes
