"""Random states of every translation regime: registers, tables in the oracle's RAM, addresses worth asking about.

A state is drawn from one number, so that the number repeats it.  It is biased to edges: sizes at their bounds,
addresses just inside and outside, descriptors that almost say something else.  Bits are written with the project's own
Fields; what they mean is asked of the hardware.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from random import Random, SystemRandom

from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.aarch64.registers.features import Features, features
from gdbtools.arch.aarch64.registers.hypervisor import HCR_EL2, VSTCR_EL2, VTCR_EL2
from gdbtools.arch.aarch64.registers.translation import TCR2, TCR_EL1, TCR_EL2
from gdbtools.arch.aarch64.tables.descriptors import EntryRole, Layout, leaf_descriptor, table_descriptor
from gdbtools.arch.aarch64.tables.geometry import GRANULE_BITS, START_LEVELS, levels_for, stage2_levels_for
from gdbtools.arch.model import Level, Refusal, Walk
from gdbtools.arch.walk import walk
from tests.guests.oracle import (
    HCR_RW,
    MORE_REGISTER_DEFAULTS,
    REGISTER_DEFAULTS,
    SCR_EEL2,
    SCR_NS,
    TABLES,
    TABLES_BYTES,
    Oracle,
)
from tests.said import say
from tests.tables import reader

# One of each kind of memory: Device-nGnRnE, Device-nGRE, Normal NC, WT, WB, mixed, Device-nGnRE, WB without W-allocate.
MAIR = int.from_bytes(bytes((0x00, 0x08, 0x44, 0xBB, 0xFF, 0x4F, 0x04, 0xEE)), "little")
TG0 = {"4KB": 0b00, "64KB": 0b01, "16KB": 0b10}
TG1 = {"4KB": 0b10, "64KB": 0b11, "16KB": 0b01}
FULL = (1 << 64) - 1
TWO_STAGES = ("two", "secure")
ARM = ARCHITECTURES["aarch64"]


SEED = int(os.environ.get("GDBTOOLS_SEED", "0")) or SystemRandom().randrange(1, 1 << 32)
FULL_RUN = os.environ.get("GDBTOOLS_FULL") == "1"
STATES = int(os.environ.get("GDBTOOLS_ORACLE_STATES", "1000" if FULL_RUN else "120"))


def counting(what: str) -> Iterator[Counter[str]]:
    """Count what was compared, and say so."""
    counted: Counter[str] = Counter()
    yield counted
    say(f"{what}, seed {SEED} (GDBTOOLS_SEED={SEED} repeats it): {sum(counted.values())} cases")
    for each, count in sorted(counted.items()):
        say(f"  {count:8} {each}")


def version_of(oracle: Oracle) -> str:
    """Return the version as the departures are listed by it: `7.2`."""
    assert oracle.qemu is not None
    return ".".join(oracle.qemu.version.split(".")[:2])


def ends_qemu_7(version: str, found: Walk, refusal: Refusal | None) -> bool:
    """Return whether QEMU 7.2 would end with a failed assertion: it cannot say that a fault is at level -1."""
    if version != "7.2" or refusal is None:
        return False
    return -1 in (refusal.fault.level, found.fetch.level.number if found.fetch else None)


@dataclass
class Space:
    """One range of one stage: where its root is and how its tables are laid out."""

    levels: tuple[Level, ...]
    granule_bits: int
    layout: Layout
    role: EntryRole
    overlays: bool
    base: int
    """The first address of the range."""
    input_bits: int
    order: str
    root: int = 0


@dataclass
class State:
    """Registers, what was laid (in words, for a failure), and addresses of the regime, and of stage 2."""

    registers: dict[str, int]
    mode: str
    addresses: list[int] = field(default_factory=list)
    laid: list[str] = field(default_factory=list)


class Drawing:
    """Draws one state and writes its tables."""

    def __init__(self, oracle: Oracle, number: int, modes: tuple[str, ...]) -> None:
        self.random = Random(number)
        self.oracle = oracle
        self.has: Features = features(reader(oracle.identity))
        self.mode = self.random.choice(modes)
        self._next = TABLES
        self.state = State({}, self.mode)

    def chance(self, one_in: int) -> bool:
        return self.random.randrange(one_in) == 0

    def draw(self) -> State:
        random, registers = self.random, self.state.registers
        suffix = "EL2" if self.mode in ("el2", "el2-vhe", "host") else "EL1"
        defaults = {**REGISTER_DEFAULTS, **MORE_REGISTER_DEFAULTS}
        ee = random.choice((0, 0, 0, 1))
        m = 0 if self.chance(15) else 1
        sctlr = defaults[f"SCTLR_{suffix}"] | m | 1 << 2 | 1 << 12 | ee << 25 | random.randrange(2) << 19
        sctlr |= (random.randrange(2) << 57) if self.has.pan_execution else 0
        registers[f"SCTLR_{suffix}"] = sctlr
        registers[f"MAIR_{suffix}"] = MAIR
        hcr = HCR_EL2(HCR_RW)
        if self.mode in ("el2-vhe", "host"):
            hcr = hcr.with_(E2H=1, TGE=int(self.mode == "host"))
        second = None
        if self.mode in TWO_STAGES:
            hcr = hcr.with_(VM=1, DC=int(self.chance(12)), PTW=int(self.chance(4)), CD=int(self.chance(8)))
            if self.has.forced_write_back:
                hcr = hcr.with_(FWB=random.randrange(2))
            second = self._stage2()
        elif self.chance(20) and suffix == "EL1":
            hcr = hcr.with_(TGE=1)
        registers["HCR_EL2"] = int(hcr)
        order = "big" if ee else "little"
        if self.mode == "el2":
            self._one_range(order)
        else:
            self._two_ranges(suffix, order)
        if second is not None:
            self._lay_stage2(second)
        return self.state

    # The shapes

    def _size(self, granule: str, ds: bool) -> int:
        random = self.random
        least = 12 if (ds and granule in self.has.lpa2) or (granule == "64KB" and self.has.large_addresses) else 16
        most = (47 if granule == "64KB" else 48) if self.has.small_tables else 39
        edges = [least, least + 1, 16, 17, 25, 28, 33, 34, 39, most - 1, most]
        kind = random.randrange(10)
        if kind == 0:
            return random.randrange(8, 64)
        return random.choice(edges) if kind < 5 else random.randrange(least, most + 1)

    def _layout(self, granule: str, ds: bool, wide: tuple[str, ...]) -> Layout:
        if granule == "64KB":
            return Layout.LPA if (self.has.physical_bits or 0) >= 52 else Layout.BITS_48
        return Layout.LPA2 if ds and granule in wide else Layout.BITS_48

    def _shape(self, ds: bool, upper: bool, role: EntryRole, overlays: bool, order: str) -> tuple[Space, int, str]:
        # One that the CPU does not have is taken for the smallest that it has.
        asked = self.random.choice(tuple(GRANULE_BITS) if self.chance(8) else self.has.granules)
        granule = self.has.granule(asked, 1)
        size = self._size(granule, ds)
        layout = self._layout(granule, ds, self.has.lpa2)
        widest = 52 if layout is not Layout.BITS_48 and (granule != "64KB" or self.has.large_addresses) else 48
        bits = GRANULE_BITS[granule]
        input_bits = max(min(64 - size, widest), bits + 1)
        levels = levels_for(bits, input_bits)
        base = (1 << 64) - (1 << (64 - size)) if upper else 0
        space = Space(levels, bits, layout, role, overlays, base, 64 - size, order)
        space.root = self.table(levels[0].entries * 8)
        return space, size, asked

    def _permissions(self, suffix: str) -> tuple[EntryRole, bool]:
        """Turn permission indirection and overlays on now and then, where the CPU has them."""
        random, registers = self.random, self.state.registers
        one = self.mode == "el2"
        if not self.oracle.identity.get("ID_AA64MMFR3_EL1", 0) >> 8 & 0xF:
            return (EntryRole.ONE_LEVEL if one else EntryRole.TWO_LEVELS), False
        tcr2 = TCR2(0).with_(PIE=random.randrange(2))
        if self.has.overlays:
            tcr2 = tcr2.with_(POE=random.randrange(2), E0POE=0 if one else random.randrange(2))
        registers[f"TCR2_{suffix}"] = int(tcr2)
        for name in (f"PIR_{suffix}", f"PIRE0_{suffix}"):
            registers[name] = random.getrandbits(64)
        for name in (f"POR_{suffix}", "POR_EL0"):
            registers[name] = random.getrandbits(64) & (FULL if self.chance(3) else 0x7777_7777_7777_7777)
        role = EntryRole.INDIRECT if tcr2.PIE else EntryRole.ONE_LEVEL if one else EntryRole.TWO_LEVELS
        return role, bool(tcr2.POE or tcr2.E0POE)

    def _two_ranges(self, suffix: str, order: str) -> None:
        random = self.random
        ds = bool(self.has.lpa2) and random.randrange(2) == 1
        role, overlays = self._permissions(suffix)
        lower, t0sz, tg0 = self._shape(ds, False, role, overlays, order)
        upper, t1sz, tg1 = self._shape(ds, True, role, overlays, order)
        ips = random.choice((0, 1, 2, 3, 4, 5, 5, 5, 6, 6))
        tcr = TCR_EL1(0).with_(
            T0SZ=t0sz, T1SZ=t1sz, TG0=TG0[tg0], TG1=TG1[tg1], IPS=ips, DS=int(ds), AS=1,
            EPD0=int(self.chance(10)), EPD1=int(self.chance(10)), TBI0=random.randrange(2), TBI1=random.randrange(2),
            SH0=random.choice((0, 2, 3)), SH1=random.choice((0, 2, 3)),
        )  # fmt: skip
        if self.has.hierarchical_disable:
            tcr = tcr.with_(HPD0=random.randrange(2), HPD1=random.randrange(2))
        if self.has.e0pd:
            tcr = tcr.with_(E0PD0=int(self.chance(8)), E0PD1=int(self.chance(8)))
        if self.has.access_flag:
            tcr = tcr.with_(HA=random.randrange(2), HD=random.randrange(2))
        self.state.registers[f"TCR_{suffix}"] = int(tcr)
        for space, name in ((lower, f"TTBR0_{suffix}"), (upper, f"TTBR1_{suffix}")):
            self.state.registers[name] = self._base(space, ips) | random.getrandbits(16) << 48
            self._lay_paths(space, random.randrange(1, 5))
        self.state.laid.append(f"TCR_{suffix} {tcr!r}")

    def _one_range(self, order: str) -> None:
        random = self.random
        ds = bool(self.has.lpa2) and random.randrange(2) == 1
        role, overlays = self._permissions("EL2")
        space, size, granule = self._shape(ds, False, role, overlays, order)
        ps = random.choice((0, 1, 2, 3, 4, 5, 5, 5, 6, 6))
        tcr = TCR_EL2(MORE_REGISTER_DEFAULTS["TCR_EL2"]).with_(
            T0SZ=size, TG0=TG0[granule], PS=ps, DS=int(ds), TBI=random.randrange(2), SH0=random.choice((0, 2, 3))
        )
        if self.has.hierarchical_disable:
            tcr = tcr.with_(HPD=random.randrange(2))
        if self.has.access_flag:
            tcr = tcr.with_(HA=random.randrange(2), HD=random.randrange(2))
        self.state.registers |= {"TCR_EL2": int(tcr), "TTBR0_EL2": self._base(space, ps)}
        self._lay_paths(space, random.randrange(1, 6))

    def _base(self, space: Space, ps: int) -> int:
        """Return BADDR; now and then beyond the output size, where that cannot be an external abort instead."""
        base = space.root
        if self.chance(25) and ps < 4:
            base |= 1 << 46
        return base | (self.random.randrange(2) if self.chance(4) and (self.has.physical_bits or 0) > 44 else 0)

    def _stage2(self, legal: bool = False) -> Space:
        """Shape stage 2; a `legal` one can map the whole of the oracle's RAM."""
        random = self.random
        ds = bool(self.has.lpa2_stage2) and random.randrange(2) == 1
        granule = random.choice(self.has.granules_stage2)
        layout = self._layout(granule, ds, self.has.lpa2_stage2)
        bits = GRANULE_BITS[granule]
        physical = min(self.has.physical_bits or 48, 48 if layout is Layout.BITS_48 else 52)
        starts = [each for each in START_LEVELS[bits].items() if not each[0][0] or (ds and granule == "4KB")]
        if legal:
            starts = [each for each in starts if self._legal_sizes(bits, each[1], layout, physical)]
        (sl2, sl0), start = random.choice(starts)
        low = bits + (bits - 3) * (3 - start)
        if legal:
            size = 64 - random.choice(self._legal_sizes(bits, start, layout, physical))
        elif self.chance(8):
            size = random.randrange(8, 52)
        else:
            # Up to 16 tables side by side, and no more than the PE has of physical address.
            input_bits = random.choice((low + 1, low + bits - 3, low + bits - 2, low + bits - 3 + 4, physical, 40))
            size = 64 - max(min(input_bits, physical, low + bits - 3 + 4), 33)
        levels = stage2_levels_for(bits, 64 - size, start)
        space = Space(levels, bits, layout, EntryRole.STAGE2, False, 0, 64 - size, "little")
        space.root = self.table(levels[0].entries * 8) if levels else TABLES
        ps = 6 if legal else random.choice((2, 3, 4, 5, 5, 5, 6))
        vtcr = VTCR_EL2(REGISTER_DEFAULTS["VTCR_EL2"]).with_(
            T0SZ=size, SL0=sl0, SL2=sl2, TG0=TG0[granule], PS=ps, DS=int(ds), SH0=random.choice((0, 2, 3))
        )
        if self.has.access_flag:
            vtcr = vtcr.with_(HA=random.randrange(2), HD=0 if legal else random.randrange(2))
        if not legal and (self.oracle.identity.get("ID_AA64MMFR3_EL1", 0) >> 12) & 0xF and random.randrange(2):
            vtcr = vtcr.with_(S2PIE=1)
            space.role = EntryRole.STAGE2_INDIRECT
            # Index 15 reads and writes, so that some tables can be fetched.
            self.state.registers["S2PIR_EL2"] = random.getrandbits(64) & ~(0xF << 60) | 0xC << 60
        self.state.registers |= {"VTCR_EL2": int(vtcr), "VTTBR_EL2": space.root | random.getrandbits(8) << 48}
        if self.mode == "secure":
            # What VSTCR_EL2 does not have, VTCR_EL2 has for both; what it has, VTCR_EL2 may say otherwise.
            vstcr = VSTCR_EL2(0).with_(T0SZ=size, SL0=sl0, SL2=sl2, TG0=TG0[granule]) | 1 << 31
            other = vtcr.with_(T0SZ=random.randrange(64), SL0=random.randrange(4), TG0=random.randrange(3))
            self.state.registers |= {"VSTCR_EL2": int(vstcr), "VSTTBR_EL2": space.root, "VTCR_EL2": int(other)}
            self.state.registers["VTTBR_EL2"] = random.getrandbits(48) & ~1
            self.state.registers["SCR_EL3"] = MORE_REGISTER_DEFAULTS["SCR_EL3"] & ~SCR_NS | SCR_EEL2
        self.state.laid.append(f"VTCR {vtcr!r}")
        return space

    def _legal_sizes(self, bits: int, start: int, layout: Layout, physical: int) -> list[int]:
        """Return the input sizes that may start there on this PE, and hold the oracle's RAM."""
        needs = {(12, 0): 44, (14, 1): 42, (16, 1): 44}.get((bits, start), 0)
        small = (bits, start) == (12, 3) and not self.has.small_tables
        # QEMU 7.2 never starts at level 0 with 16KB, and at level -1 only with all of 52 bits.
        old = version_of(self.oracle) == "7.2"
        if old and start == -1:
            return [52]
        wide = layout is Layout.LPA2 and not old
        if physical < needs or small or ((bits, start) == (14, 0) and not wide):
            return []
        low = bits + (bits - 3) * (3 - start)
        return list(range(max(low + 1, 33), min(low + bits - 3 + 4, physical) + 1))

    # The tables

    def table(self, size_bytes: int) -> int:
        align = max(64, size_bytes)
        table = -(-self._next // align) * align
        self._next = table + size_bytes
        assert self._next <= TABLES + TABLES_BYTES, "the table area is too small for this state"
        self.oracle.write(table, bytes(size_bytes))
        return table

    def _put(self, space: Space, pa: int, value: int) -> None:
        self.oracle.write(pa, (value & FULL).to_bytes(8, space.order))

    def _get(self, space: Space, pa: int) -> int:
        return int.from_bytes(self.oracle.read(pa, 8), space.order)

    def _lay_paths(self, space: Space, count: int) -> None:
        for _ in range(count):
            offset = self.random.getrandbits(52) & ((1 << space.input_bits) - 1)
            low = self._lay(space, offset, self._leaf(space))
            va = (space.base | offset) & FULL
            beyond = space.base - 1 if space.base else 1 << space.input_bits
            tagged = va ^ self.random.getrandbits(8) << 56
            self.state.addresses += [each & FULL for each in (va, va ^ 1 << low, beyond, tagged)]
        if self.chance(3):
            self.state.addresses.append(self.random.getrandbits(64))

    def _leaf(self, space: Space) -> dict[str, int]:
        """Draw the fields of a leaf by their own names; those that a role does not have are left out."""
        random = self.random
        kind = leaf_descriptor(space.granule_bits, False, space.role, space.layout, space.overlays)
        fields = {each.name: each for each in kind.fields()}
        drawn = {name: random.getrandbits(each.width) for name, each in fields.items()}
        drawn |= {"AF": 0 if self.chance(5) else 1, "Contiguous": 0, "PBHA": 0, "IGNORED": random.randrange(2)}
        if "SH" in fields:
            drawn["SH"] = random.choice((0, 2, 3))
        if "AP" in fields and space.role is EntryRole.ONE_LEVEL:
            drawn["AP"] |= 1
        for name in ("MemAttr",):
            if name in drawn:
                # The reserved ones are nobody's: 0bxx00 with FWB clear, 0b100 and bit 3 with it set.
                forced = HCR_EL2(self.state.registers["HCR_EL2"]).FWB and self.has.forced_write_back
                more = () if forced else (0b1001, 0b1010, 0b1011, 0b1101, 0b1110, 0b1111)
                drawn[name] = random.choice((0, 1, 2, 3, 5, 6, 7, 5, 6, 7, *more))
        if self.mode == "secure":
            # A Non-secure output would go through VTTBR_EL2.
            drawn["NS"] = 0
        for name in ("NSE", "FnXS", "GP", "TYPE", "OutputAddress"):
            drawn.pop(name, None)
        return {name: value for name, value in drawn.items() if name in fields}

    def _lay(self, space: Space, offset: int, fields: dict[str, int], output: int | None = None) -> int:
        """Lay one path; give the size, in bits, of what its last entry covers."""
        random = self.random
        if not space.levels:
            return 12
        depth = min(random.choice((0, 1, 2, 2, 3, 3, 3, 4, 4)), len(space.levels) - 1)
        table = space.root
        tables = table_descriptor(space.granule_bits, space.role, space.layout)
        for number, level in enumerate(space.levels):
            at = table + level.index(offset) * 8
            found = self._get(space, at)
            if number == depth:
                if not found:
                    self._put(space, at, self._ending(space, level, fields, output))
                return level.low
            if found:
                if found & 3 != 3 or level.number == 3:
                    return level.low
            else:
                word = tables(0).with_(TYPE=3, NextTable=self.table(1 << space.granule_bits))
                for each in tables.fields():
                    limits = each.name.endswith("Table") and each.name not in ("NextTable", "NSTable")
                    if (limits and self.chance(3)) or each.name.startswith("IGNORED"):
                        word = tables(each.into(word, random.getrandbits(each.width)))
                self._put(space, at, word)
                found = int(word)
            table = tables(found).NextTable
            if not TABLES <= table < TABLES + TABLES_BYTES:
                return level.low
        return 12

    def _ending(self, space: Space, level: Level, fields: dict[str, int], output: int | None) -> int:
        random = self.random
        kind = random.randrange(10) if output is None else 9
        noise = random.getrandbits(64)
        if kind == 0:
            return noise & ~1
        if kind == 1 and level.number == 3:
            return noise & ~3 | 1
        leaf = leaf_descriptor(level.low, level.number < 3, space.role, space.layout, space.overlays)
        word = leaf(0).with_(TYPE=3 if level.number == 3 else 1, **fields)
        address = leaf.OutputAddress
        if output is None:
            bits = random.choice((32, 36, 40, 42, 44, 48, 52))
            output = random.getrandbits(bits)
        value = output & ((1 << (48 if space.layout is Layout.BITS_48 else 52)) - 1) & -(1 << level.low)
        return int(address.into(word, value))

    def _lay_stage2(self, space: Space) -> None:
        """Map stage 1's tables, one to one but for some pages, and the outputs of some of its leaves."""
        random = self.random
        if not space.levels:
            return
        end = self._next
        granule = 1 << space.granule_bits
        forced = HCR_EL2(self.state.registers["HCR_EL2"]).FWB
        good = {"AF": 1, "MemAttr": 0b0110 if forced else 0b1111, "SH": 3}
        good |= {"S2AP": 3, "XN": 0} if space.role is EntryRole.STAGE2 else {"PIIndex": 15, "Dirty": 1}
        if space.layout is Layout.LPA2:
            del good["SH"]
        odd = {random.randrange(TABLES, end) & -granule for _ in range(random.randrange(3))}
        for page in range(TABLES & -granule, end, granule):
            if page < 1 << space.input_bits:
                self._page(space, page, self._leaf(space) if page in odd else good, page)
        for va in list(self.state.addresses):
            for output in self._outputs(va):
                if output < 1 << space.input_bits and self.chance(2):
                    self._lay(space, output, self._leaf(space))

    def _page(self, space: Space, ipa: int, fields: dict[str, int], output: int) -> None:
        table = space.root
        tables = table_descriptor(space.granule_bits, space.role, space.layout)
        for level in space.levels[:-1]:
            at = table + level.index(ipa) * 8
            if not self._get(space, at):
                self._put(space, at, tables(0).with_(TYPE=3, NextTable=self.table(1 << space.granule_bits)))
            table = tables(self._get(space, at)).NextTable
        level = space.levels[-1]
        leaf = leaf_descriptor(level.low, False, space.role, space.layout)
        self._put(space, table + level.index(ipa) * 8, leaf(0).with_(TYPE=3, OutputAddress=output, **fields))

    def _outputs(self, va: int) -> list[int]:
        """Return the intermediate physical address that stage 1 has for an address, asked with stage 2 off."""
        registers = {**self.oracle.identity, **self.state.registers, "HCR_EL2": HCR_RW, "cpsr": 5, "HCRX_EL2": 1 << 14}
        found = walk(ARM.regime_for(reader(registers), va, "el1"), va, self.oracle.read)
        return [found.destination.address] if found.destination is not None else []


def first_of(differing: Sequence[str], compared: int, where: str) -> str:
    """Return how many of the cases compared differ there, and the first of them; empty where none does."""
    return f"{len(differing)} of {compared} differ on {where}; the first:\n{differing[0]}" if differing else ""
