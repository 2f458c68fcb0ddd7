"""Two stages: drawn, with an independent composition of what they map, and built by hand."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import islice

from hypothesis import assume
from hypothesis import strategies as st

from gdbtools.analysis.mappings import mappings_of
from gdbtools.arch.model import Fault, FaultKind, Hole, Mapped, Regime
from gdbtools.arch.walk import walk
from tests.arch.scan.claims import expected_claim
from tests.arch.scan.drawn import filled, segments
from tests.arch.scan.layouts import AF, Builder, Format, Memory
from tests.arch.scan.registers import ARM, stage1_registers, stage2_registers
from tests.tables import reader

FIRSTS = (
    Format(12, "", 30, 40), Format(12, "", 39, 48), Format(14, "", 36, 40), Format(16, "", 42, 40),
    Format(16, "", 30, 36, big=True),
)  # fmt: skip
SECONDS = (
    Format(12, "", 32, 48, start=1), Format(12, "", 34, 44, start=2), Format(12, "", 33, 40, start=1),
    Format(14, "", 36, 48, start=2), Format(16, "", 36, 48, start=2), Format(16, "", 33, 44, start=3),
)  # fmt: skip
# Stage 2: MemAttr [5:2], S2AP [7:6], SH [9:8], AF [10], XN [54:53].
NORMAL = 0b1111 << 2 | 3 << 8
S2 = NORMAL | AF | 3 << 6
STAGE2_ATTRIBUTES = (S2, S2, NORMAL | AF | 1 << 6, S2 | 2 << 53, NORMAL | 3 << 6, NORMAL | AF, S2 | 1 << 53)
TABLES_AT, PHYSICAL, STAGE2_AT = 0x4000_0000, 0x1_0000_0000, 0x8_0000_0000


@dataclass
class Stages:
    """Two stages: `memory` is physical; `first` has what stage 1 maps, by intermediate addresses."""

    first: Builder
    second: Builder
    memory: Memory = field(repr=False)

    def regime(self, **changes: int) -> Regime:
        registers = stage1_registers(self.first.layout, self.first.root)
        registers |= stage2_registers(self.second.layout, self.second.root, **changes)
        return ARM.regime_for(reader(registers), self.first.layout.base, "el1")

    def fault_of(self, ipa: int) -> Fault | None:
        """Return what stage 2 has against an address, permissions apart."""
        leaf = self.second.holding(ipa)
        if ipa >> self.second.layout.input_bits:
            return Fault(FaultKind.TRANSLATION, 2, 0)
        if leaf is None:
            return Fault(FaultKind.TRANSLATION, 2, self.second.deepest(ipa))
        if leaf.output >> self.second.layout.output_bits:
            return Fault(FaultKind.ADDRESS_SIZE, 2, leaf.level)
        return None if leaf.bits & AF else Fault(FaultKind.ACCESS_FLAG, 2, leaf.level)

    def refuses_fetch(self, ipa: int) -> Fault | None:
        fault, leaf = self.fault_of(ipa), self.second.holding(ipa)
        if fault is None and leaf is not None and not leaf.bits >> 6 & 1:
            fault = Fault(FaultKind.PERMISSION, 2, leaf.level)
        return None if fault is None else replace(fault, s1ptw=True)

    def expected(self, va: int) -> Mapped | Fault | None:
        """Return the outcome of an address that stage 1 maps; a fault with S1PTW is of a fetch."""
        leaf = self.first.holding(va)
        assert leaf is not None
        for at in self.first.paths[leaf.first]:
            if refused := self.refuses_fetch(at):
                return refused
        fault = expected_claim(self.first.layout, leaf)[2]
        ipa = leaf.output + va - leaf.first
        fault = fault or self.fault_of(ipa)
        if fault is not None:
            assert isinstance(fault, Fault)
            return fault
        below = self.second.holding(ipa)
        assert below is not None
        return Mapped(below.output + ipa - below.first, min(leaf.size, below.size))

    def interesting(self) -> list[int]:
        """Return addresses at and around every boundary that either stage has."""
        unit = 1 << min(self.first.layout.granule, self.second.layout.granule)
        found = set()
        seconds = self.second.in_order()
        for leaf in self.first.in_order():
            end = leaf.output + leaf.size
            found |= {leaf.first, leaf.first + leaf.size // 2, leaf.last + 1 - unit}
            inside = [each for each in seconds if each.first < end and leaf.output <= each.last]
            for each in islice(inside, 30):
                for ipa in (each.first - unit, each.first, each.last + 1 - unit, each.last + 1):
                    if leaf.output <= ipa < end:
                        found.add(leaf.first + ipa - leaf.output)
        return sorted(found)


def stage2_rights(bits: int) -> dict[int, tuple[bool, bool, bool]]:
    """S2AP, and XN of FEAT_XNX: 0b00 both execute, 0b01 EL0 alone, 0b10 neither, 0b11 EL1 alone."""
    read, write, xn = bool(bits >> 6 & 1), bool(bits >> 7 & 1), bits >> 53 & 3
    return {0: (read, write, xn in (0, 1)), 1: (read, write, xn in (0, 3))}


@st.composite
def two_stages(draw: st.DrawFn) -> Stages:
    first_layout, second_layout = draw(st.sampled_from(FIRSTS)), draw(st.sampled_from(SECONDS))
    first = Builder(first_layout, TABLES_AT, TABLES_AT + (1 << 20))
    filled(first, draw(segments(first_layout)), output=0x8000_0000)
    second = Builder(second_layout, STAGE2_AT, STAGE2_AT + (1 << 20))
    # Where stage 1 keeps its tables: stage 2 scatters them, or has them in one block, or not at all.
    level = draw(st.sampled_from(second_layout.leaf_levels))
    size = second_layout.size_of(level)
    chunks = sorted({page << 12 & -size for page in first.memory.pages})
    bad = draw(st.lists(st.tuples(st.integers(0, 9), st.sampled_from((0, NORMAL | AF, NORMAL | 3 << 6))), max_size=2))
    withheld = {chunks[number % len(chunks)]: bits for number, bits in bad}
    for number, ipa in enumerate(chunks):
        bits = withheld.get(ipa, NORMAL | AF | 1 << 6)
        if bits:
            second.map(ipa, PHYSICAL + (len(chunks) - number) * 2 * size & -size, level, bits)
    # And what stage 1 leads to.
    outputs = sorted({leaf.output for leaf in first.leaves.values()})
    for number, level, count, choice, bits in draw(
        st.lists(
            st.tuples(st.integers(0, 1 << 12), st.sampled_from(second_layout.leaf_levels),
                      st.sampled_from((1, 2, 16, 70)), st.integers(0, 3), st.sampled_from(STAGE2_ATTRIBUTES)),
            max_size=6,
        )
    ):  # fmt: skip
        size = second_layout.size_of(level)
        ipa = outputs[number % len(outputs)] & -size
        pa = (0x2_0000_0000 if choice < 2 else 1 << 43) + (number & 3) * size & -size
        for each in range(count):
            second.map(ipa + each * size, pa + (each * size if choice % 2 == 0 else 0), level, bits)
    where = {}
    for page in first.memory.pages:
        leaf = second.holding(page << 12)
        if leaf is not None:
            where[page] = leaf.output + (page << 12) - leaf.first >> 12
    memory = second.memory
    memory.pages |= {where[page]: data for page, data in first.memory.pages.items() if page in where}
    # Two pages of tables never come to share one physical page.
    assume(len(set(where.values())) == len(where))
    return Stages(first, second, memory)


@dataclass
class Two:
    """Two stages of 4KB and 39 or so bits, mapped by hand; `connect` gives the regime when everything is mapped."""

    first: Builder = field(default_factory=lambda: Builder(Format(12, "", 30, 40), TABLES_AT, TABLES_AT + 4096))
    second: Builder = field(
        default_factory=lambda: Builder(Format(12, "", 32, 48, start=1), STAGE2_AT, STAGE2_AT + 4096)
    )

    def connect(self, without: int | None = None, bits: int = S2, **changes: int) -> tuple[Regime, Memory]:
        """Lead stage 1's table pages to themselves, but for one of them, and give the regime."""
        for page in self.first.memory.pages:
            if page << 12 != without:
                self.second.map(page << 12, page << 12, 3, bits)
        memory = self.second.memory
        memory.pages |= self.first.memory.pages
        registers = stage1_registers(self.first.layout, self.first.root)
        registers |= stage2_registers(self.second.layout, self.second.root, **changes)
        return ARM.regime_for(reader(registers), 0, "el1"), memory


def agree_with_walk(regime: Regime, memory: Memory, addresses: Iterable[int]) -> None:
    """Ask the mappings and the walk about the same addresses."""
    found = list(mappings_of(regime, memory.read))
    for va in addresses:
        [run] = [each for each in found if each.first <= va < each.first + each.size_bytes]
        walked = walk(regime, va, memory.read)
        said: Mapped | Fault | None
        if isinstance(run, Hole):
            said = run.refusal.fault if run.refusal else None
        elif run.fault is not None:
            said = run.fault
        else:
            assert run.output is not None
            said = Mapped(run.output + run.offset_of(va), run.leaf_bytes)
        outcome = walked.outcome
        if isinstance(said, Mapped) and isinstance(outcome, Mapped):
            assert hex(said.address) == hex(outcome.address), hex(va)
        else:
            assert said == outcome, hex(va)
