"""Random translation configurations that a person can read when one of them fails."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st

from gdbtools.arch.aarch64.descriptors import leaf_descriptor, table_descriptor
from gdbtools.arch.aarch64.geometry import GRANULE_BITS, levels_for
from gdbtools.arch.aarch64.identification import ID_AA64MMFR0_EL1, ID_AA64MMFR1_EL1, ID_AA64MMFR2_EL1
from gdbtools.arch.aarch64.registers import SCTLR, TCR_EL1, TTBR
from gdbtools.bits import Word
from tests.guests.oracle import DATA, DATA_BYTES, TABLES, TABLES_BYTES, Oracle

# One of each kind of memory: Device-nGnRnE, Device-nGRE, Normal NC, WT, WB, mixed, tagged or transient left out.
MAIR = int.from_bytes(bytes((0x00, 0x08, 0x44, 0xBB, 0xFF, 0x4F, 0x04, 0xF4)), "little")
TG0 = {"4KB": 0b00, "64KB": 0b01, "16KB": 0b10}
TG1 = {"4KB": 0b10, "64KB": 0b11, "16KB": 0b01}
# SCTLR_EL1's RES1 bits of Armv8.0, and SPAN, so that a trap to EL1 leaves PAN alone.
SCTLR_BASE = 0x30D00800
BEYOND = 1 << 47


class Ending:
    """What a path of tables ends in."""

    LEAF, INVALID, RESERVED, TABLE_BEYOND = "leaf", "invalid", "reserved type", "table beyond the output size"
    ALL = (LEAF, LEAF, LEAF, LEAF, INVALID, RESERVED, TABLE_BEYOND)


@dataclass(frozen=True)
class Path:
    """One way down: an address within its half, how deep it goes, what limits it meets, and what it ends in.

    `address` is a fraction of the half's size in 2^-64; `limits` are (APTable, UXNTable, PXNTable, noise) by level;
    `leaf` holds the fields of the block or page; `output` is masked to what its level can say.
    """

    upper: bool
    address: int
    depth: int
    limits: tuple[tuple[int, int, int, int], ...]
    ending: str
    leaf: dict[str, int]
    output: int

    def __repr__(self) -> str:
        fields = " ".join(f"{name}={value:#x}" for name, value in self.leaf.items())
        half = "TTBR1" if self.upper else "TTBR0"
        limits = " ".join(f"APTable={a} UXNTable={u} PXNTable={p}" for a, u, p, _ in self.limits[: self.depth])
        leads = f"{self.ending} {fields} -> {self.output:#x}"
        return f"Path({half} {self.address:#018x} depth {self.depth} [{limits}] {leads})"


@dataclass(frozen=True)
class Half:
    granule: str
    TnSZ: int
    TBI: int
    EPD: int
    HPD: int
    ASID: int
    beyond: bool
    """Whether TTBR points past the output address size."""


@dataclass(frozen=True)
class Configuration:
    lower: Half
    upper: Half
    IPS: int
    M: int
    WXN: int
    EE: int
    paths: tuple[Path, ...]
    strays: tuple[int, ...]

    def __repr__(self) -> str:
        head = f"IPS={self.IPS} M={self.M} WXN={self.WXN} EE={self.EE}\n  lower {self.lower}\n  upper {self.upper}"
        paths = "".join(f"\n  {path}" for path in self.paths)
        return f"\n  {head}{paths}\n  strays {[hex(stray) for stray in self.strays]}"


@dataclass(frozen=True)
class Features:
    """What the CPU has of what a configuration may use."""

    small: bool
    """FEAT_TTST: TnSZ up to 48."""
    hpd: bool
    """FEAT_HPDS. Where HPDn is RES0 it is left 0: the manual has such a CPU ignore it, QEMU 7.2 does not."""
    granules: tuple[str, ...]

    @classmethod
    def of(cls, identity: dict[str, int]) -> Features:
        has_16k = ID_AA64MMFR0_EL1(identity["ID_AA64MMFR0_EL1"]).TGran16
        return cls(
            small=bool(ID_AA64MMFR2_EL1(identity["ID_AA64MMFR2_EL1"]).ST),
            hpd=bool(ID_AA64MMFR1_EL1(identity["ID_AA64MMFR1_EL1"]).HPDS),
            granules=tuple(GRANULE_BITS) if has_16k else ("4KB", "64KB"),
        )


def halves(features: Features) -> st.SearchStrategy[Half]:
    """Now and then a TnSZ that no CPU has.

    Below 16 only where that is no 52-bit address (FEAT_LVA: at 64KB), which is not decoded yet.
    """

    def legal(half: Half) -> bool:
        return half.TnSZ >= 16 or half.granule != "64KB"

    size = st.integers(16, 48 if features.small else 39)
    return st.builds(
        Half,
        granule=st.sampled_from(features.granules),
        TnSZ=st.one_of(size, size, size, size, st.integers(10, 63)),
        TBI=st.integers(0, 1),
        EPD=st.sampled_from((0, 0, 0, 0, 0, 0, 1)),
        HPD=st.integers(0, int(features.hpd)),
        ASID=st.integers(0, 0xFFFF),
        beyond=st.sampled_from((False,) * 12 + (True,)),
    ).filter(legal)


def paths(in_ram: bool) -> st.SearchStrategy[Path]:
    leaf = st.fixed_dictionaries(
        {
            "AF": st.sampled_from((1, 1, 1, 0)),
            "AP": st.integers(0, 3),
            "UXN": st.integers(0, 1),
            "PXN": st.integers(0, 1),
            "SH": st.sampled_from((0, 2, 3)),
            "AttrIndx": st.just(4) if in_ram else st.integers(0, 7),
            "nG": st.integers(0, 1),
            "Contiguous": st.just(0),
            "DBM": st.integers(0, 1),
            "NS": st.integers(0, 1),
            "SOFTWARE": st.integers(0, 15),
        }
    )
    # Often nothing; APTable=0, UXNTable=0, PXNTable=0 is what most tables say.
    limit = st.one_of(
        st.just((0, 0, 0, 0)),
        st.tuples(st.integers(0, 3), st.integers(0, 1), st.integers(0, 1), st.integers(0, 0xFF)),
    )
    return st.builds(
        Path,
        upper=st.just(False) if in_ram else st.booleans(),
        address=st.integers(0, (1 << 64) - 1),
        depth=st.integers(0, 3),
        limits=st.tuples(limit, limit, limit, limit),
        ending=st.sampled_from(Ending.ALL),
        leaf=leaf,
        output=st.integers(0, (1 << 48) - 1),
    )


def configurations(features: Features, in_ram: bool = False) -> st.SearchStrategy[Configuration]:
    """`in_ram` keeps what is mapped within the oracle's data pages, for real accesses; the upper half is then fixed."""
    return st.builds(
        Configuration,
        lower=halves(features),
        upper=st.just(Half("4KB", 16, 0, 0, 0, 0, False)) if in_ram else halves(features),
        IPS=st.just(2) if in_ram else st.integers(0, 5),
        M=st.just(1) if in_ram else st.sampled_from((1,) * 15 + (0,)),
        WXN=st.integers(0, 1),
        EE=st.just(0) if in_ram else st.sampled_from((0, 0, 0, 1)),
        paths=st.lists(paths(in_ram), min_size=1, max_size=8).map(tuple),
        strays=st.lists(st.integers(0, (1 << 64) - 1), max_size=4).map(tuple),
    )


@dataclass
class Built:
    """Registers and tables in the oracle's RAM, and addresses worth asking about."""

    registers: dict[str, int]
    addresses: list[int]


class Builder:
    """Writes a configuration's tables into the oracle's RAM."""

    def __init__(self, oracle: Oracle, configuration: Configuration, in_ram: bool = False) -> None:
        self.oracle = oracle
        self.configuration = configuration
        self.in_ram = in_ram
        self.order = "big" if configuration.EE else "little"
        self._next = TABLES

    def build(self) -> Built:
        c = self.configuration
        tcr = TCR_EL1(0).with_(
            T0SZ=c.lower.TnSZ, TG0=TG0[c.lower.granule], EPD0=c.lower.EPD, TBI0=c.lower.TBI, HPD0=c.lower.HPD,
            T1SZ=c.upper.TnSZ, TG1=TG1[c.upper.granule], EPD1=c.upper.EPD, TBI1=c.upper.TBI, HPD1=c.upper.HPD,
            IPS=c.IPS, AS=1, SH0=3, ORGN0=1, IRGN0=1, SH1=3, ORGN1=1, IRGN1=1,
        )  # fmt: skip
        roots = {False: self._root(c.lower), True: self._root(c.upper)}
        self._upper_root = roots[True]
        addresses = [address for path in c.paths for address in self._lay(path, roots[path.upper])]
        registers = {
            "SCTLR_EL1": SCTLR(SCTLR_BASE).with_(M=c.M, C=1, I=1, WXN=c.WXN, EE=c.EE, SPAN=1),
            "TCR_EL1": tcr,
            "MAIR_EL1": MAIR,
            "TTBR0_EL1": self._ttbr(c.lower, roots[False]),
            "TTBR1_EL1": self._ttbr(c.upper, roots[True]),
        }
        return Built({name: int(value) for name, value in registers.items()}, addresses + list(c.strays))

    def map_stub(self, va: int) -> None:
        """Map the guest's stub page at `va` in the upper half, executable and read-only at both levels."""
        table = self._upper_root
        levels = self._levels(self.configuration.upper)
        for level in levels[:-1]:
            at = table + level.index(va) * 8
            if not self._get(at):
                self._put(at, table_descriptor(12)(0).with_(TYPE=3, NextTable=self._table(1 << 12)))
            table = table_descriptor(12)(self._get(at)).NextTable
        page = leaf_descriptor(12, False)(0).with_(
            TYPE=3, AF=1, AP=3, SH=3, AttrIndx=4, OutputAddress=self.oracle.stub_pa
        )
        self._put(table + levels[-1].index(va) * 8, page)

    def _ttbr(self, half: Half, root: int) -> TTBR:
        base = TTBR(0).with_(BADDR=root, ASID=half.ASID)
        return base.with_(BADDR=root | BEYOND) if half.beyond and self._limited else base

    @property
    def _limited(self) -> bool:
        """Whether BEYOND is beyond the output size on every CPU: else the walk would leave RAM, an External abort."""
        return self.configuration.IPS < 5

    def _root(self, half: Half) -> int:
        levels = self._levels(half)
        return self._table(levels[0].entries * 8 if levels else 64)

    def _levels(self, half: Half):
        """Give the levels to lay tables for; a range that is too large is laid as the largest there is."""
        return levels_for(GRANULE_BITS[half.granule], min(64 - half.TnSZ, 48))

    def _table(self, size_bytes: int) -> int:
        align = max(64, size_bytes)
        table = -(-self._next // align) * align
        self._next = table + size_bytes
        assert self._next <= TABLES + TABLES_BYTES, "the table area is too small for this configuration"
        self.oracle.write(table, bytes(size_bytes))
        return table

    def _put(self, pa: int, word: int) -> None:
        self.oracle.write(pa, word.to_bytes(8, self.order))

    def _get(self, pa: int) -> int:
        return int.from_bytes(self.oracle.read(pa, 8), self.order)

    def _lay(self, path: Path, table: int) -> list[int]:
        """Lay a path into the tables; where an earlier one has been, follow or stop. Gives addresses near it."""
        half = self.configuration.upper if path.upper else self.configuration.lower
        levels, bits = self._levels(half), GRANULE_BITS[half.granule]
        input_bits = 64 - half.TnSZ
        va = path.address >> half.TnSZ
        last = min(path.depth, len(levels) - 1)
        for depth, level in enumerate(levels):
            at = table + level.index(va) * 8
            found = self._get(at)
            if depth == last:
                if not found:
                    self._put(at, self._ending(path, level, bits))
                break
            if found:
                if found & 3 != 3 or level.number == 3:
                    break
            else:
                next_table = self._table(1 << bits)
                ap, uxn, pxn, noise = path.limits[depth]
                word = table_descriptor(bits)(0).with_(
                    TYPE=3, NextTable=next_table, APTable=ap, UXNTable=uxn, PXNTable=pxn, IGNORED=noise
                )
                self._put(at, word)
                found = int(word)
            table = table_descriptor(bits)(found).NextTable
            if not TABLES <= table < TABLES + TABLES_BYTES:
                break
        return self._around(path, va, input_bits, levels[last].low if levels else 12)

    def _ending(self, path: Path, level, bits: int) -> Word | int:
        if path.ending == Ending.INVALID:
            return path.output & ~0b11 | 0b10
        if path.ending == Ending.RESERVED and level.number == 3:
            return path.output & ~0b11 | 0b01
        if path.ending == Ending.TABLE_BEYOND and level.number < 3 and self._limited:
            return table_descriptor(bits)(0).with_(TYPE=3, NextTable=BEYOND | TABLES)
        leaf = leaf_descriptor(level.low, level.number < 3)(0)
        output = path.output & -(1 << level.low)
        if self.in_ram:
            output = (DATA + path.output % DATA_BYTES) & -(1 << level.low)
        return leaf.with_(TYPE=3 if level.number == 3 else 1, OutputAddress=output, **path.leaf)

    def _around(self, path: Path, va: int, input_bits: int, low: int) -> list[int]:
        base = (1 << 64) - (1 << input_bits) if path.upper else 0
        address = base | va
        if self.in_ram:
            # Within what is mapped, only the data pages may be touched.
            inside = (DATA + path.output % DATA_BYTES) & ~0xFFF & ((1 << low) - 1)
            return [base | va & -(1 << low) | inside | path.output & 0x7FC]
        top = (1 << 64) - 1
        beyond = (base - 1) & top if path.upper else (1 << input_bits) & top
        return [address, address ^ 1 << low & top, address ^ 0x5A << 56, beyond, address ^ 1 << 63]
