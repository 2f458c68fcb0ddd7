"""A machine to ask: registers and 4KB tables made bit by bit, so that no Field of ours can hide its own mistake.

Stage 1 has 48 bits and starts at level 0; stage 2 has 39 bits and starts at level 1 (VTCR_EL2: T0SZ=25, SL0=1).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.model import Access, AccessKind, Fault, FaultKind, Mapped, Refusal, Walk
from gdbtools.arch.walk import walk
from tests.tables import reader

ARM = ARCHITECTURES["aarch64"]
VA, IPA, PA = 0x0000_1234_5678_9000, 0x0000_0000_6543_2000, 0x0000_0000_7654_3000
S1_ROOT, S2_ROOT = 0x4000_0000, 0x5000_0000

# PSTATE as SPSR_ELx: M[3:0], PAN [22], UAO [23].
EL0T, EL1H, EL2H, EL3H = 0b0000, 0b0101, 0b1001, 0b1101
PAN, UAO = 1 << 22, 1 << 23

# Descriptors: type [1:0], AF [10].
TABLE = PAGE = 0b11
AF = 1 << 10

# SCTLR_ELx: M [0], C [2], I [12], WXN [19], EPAN [57].
SCTLR = 1 << 0 | 1 << 2 | 1 << 12
WXN, EPAN = 1 << 19, 1 << 57

# TCR_EL1, and TCR_EL2 with HCR_EL2.E2H: T0SZ [5:0], IRGN0 [9:8], ORGN0 [11:10], SH0 [13:12], T1SZ [21:16],
# IRGN1 [25:24], ORGN1 [27:26], SH1 [29:28], TG1 [31:30], IPS [34:32]; and HA [39], HD [40], HPD0 [41].
TCR = 16 | 1 << 8 | 1 << 10 | 3 << 12 | 16 << 16 | 1 << 24 | 1 << 26 | 3 << 28 | 0b10 << 30 | 5 << 32
HA, HD, HPD0 = 1 << 39, 1 << 40, 1 << 41
# TCR_EL2 without E2H, and TCR_EL3: T0SZ [5:0], IRGN0 [9:8], ORGN0 [11:10], SH0 [13:12], PS [18:16], RES1 [23] and [31];
# and HA [21], HD [22], HPD [24].
TCR_ONE = 16 | 1 << 8 | 1 << 10 | 3 << 12 | 5 << 16 | 1 << 23 | 1 << 31
HA_ONE, HD_ONE, HPD_ONE = 1 << 21, 1 << 22, 1 << 24
# VTCR_EL2: T0SZ [5:0], SL0 [7:6], IRGN0 [9:8], ORGN0 [11:10], SH0 [13:12], PS [18:16], RES1 [31];
# and HA [21], HD [22], S2PIE [36].
VTCR = 25 | 1 << 6 | 1 << 8 | 1 << 10 | 3 << 12 | 5 << 16 | 1 << 31
S2_HA, S2_HD, S2PIE = 1 << 21, 1 << 22, 1 << 36
# HCR_EL2: VM [0], PTW [2], DC [12], TGE [27], RW [31], CD [32], ID [33], E2H [34], FWB [46].
VM, PTW, DC, TGE, RW, CD, E2H, FWB = 1 << 0, 1 << 2, 1 << 12, 1 << 27, 1 << 31, 1 << 32, 1 << 34, 1 << 46
# TCR2_ELx: PIE [1], E0POE [2], POE [3].
PIE, E0POE, POE = 1 << 1, 1 << 2, 1 << 3
TCR2EN = 1 << 14
"""HCRX_EL2.TCR2En: without it, and with EL2, TCR2_EL1 is as if it were 0."""

# ID_AA64MMFR1_EL1: HAFDBS [3:0], VH [11:8], HPDS [15:12], PAN [23:20], XNX [31:28], HCX [43:40].
MMFR1 = 2 | 1 << 8 | 1 << 12 | 3 << 20 | 1 << 28 | 1 << 40
FEATURES = {
    "ID_AA64PFR0_EL1": 0x0011,  # EL0 [3:0], EL1 [7:4], EL2 [11:8], EL3 [15:12]
    "ID_AA64PFR1_EL1": 1 << 44,  # GCS [47:44]
    "ID_AA64MMFR0_EL1": 5 | 1 << 20,  # PARange [3:0], TGran16 [23:20]
    "ID_AA64MMFR1_EL1": MMFR1,
    "ID_AA64MMFR2_EL1": 1 << 4 | 1 << 28 | 1 << 40 | 1 << 60,  # UAO [7:4], ST [31:28], FWB [43:40], E0PD [63:60]
    "ID_AA64MMFR3_EL1": 1 | 1 << 8 | 1 << 12 | 1 << 16,  # TCRX [3:0], S1PIE [11:8], S2PIE [15:12], S1POE [19:16]
    "ID_AA64ISAR1_EL1": 1 << 56,  # XS [59:56]
}
EL2_EXISTS = {"ID_AA64PFR0_EL1": 0x0111}
EL3_EXISTS = {"ID_AA64PFR0_EL1": 0x1111}

ALL_WRITE_BACK = 0xFFFF_FFFF_FFFF_FFFF
"""MAIR_ELx with Normal Write-Back, RW-allocate in every attribute."""


def el1(**changes: int) -> dict[str, int]:
    """EL1&0 stage 1 of a machine without EL2."""
    return {
        **FEATURES,
        "SCTLR_EL1": SCTLR,
        "TCR_EL1": TCR,
        "TCR2_EL1": 0,
        "TTBR0_EL1": S1_ROOT,
        "TTBR1_EL1": S1_ROOT,
        "MAIR_EL1": ALL_WRITE_BACK,
        "PIR_EL1": 0,
        "PIRE0_EL1": 0,
        "POR_EL1": 0,
        "POR_EL0": 0,
        "cpsr": EL1H,
        **changes,
    }


def guest(**changes: int) -> dict[str, int]:
    """EL1&0 of a virtual machine: both stages on."""
    return {
        **el1(),
        **EL2_EXISTS,
        "HCR_EL2": VM | RW,
        "HCRX_EL2": TCR2EN,
        "SCTLR_EL2": SCTLR,
        "VTCR_EL2": VTCR,
        "VTTBR_EL2": S2_ROOT,
        "S2PIR_EL2": 0,
        **changes,
    }


def el2(**changes: int) -> dict[str, int]:
    """Stage 1 of EL2, which has no EL0."""
    return {
        **FEATURES,
        **EL2_EXISTS,
        "HCR_EL2": RW,
        "HCRX_EL2": TCR2EN,
        "SCTLR_EL2": SCTLR,
        "TCR_EL2": TCR_ONE,
        "TCR2_EL2": 0,
        "TTBR0_EL2": S1_ROOT,
        "MAIR_EL2": ALL_WRITE_BACK,
        "PIR_EL2": 0,
        "POR_EL2": 0,
        "cpsr": EL2H,
        **changes,
    }


def el2_vhe(**changes: int) -> dict[str, int]:
    """Stage 1 of EL2&0: a host."""
    return {
        **el2(),
        "HCR_EL2": RW | E2H | TGE,
        "TCR_EL2": TCR,
        "TTBR1_EL2": S1_ROOT,
        "PIRE0_EL2": 0,
        "POR_EL0": 0,
        **changes,
    }


def el3(**changes: int) -> dict[str, int]:
    """Stage 1 of EL3."""
    return {
        **FEATURES,
        **EL3_EXISTS,
        # SCR_EL3: NS [0], RW [10], TCR2En [43], PIEn [45].
        "SCR_EL3": 1 | 1 << 10 | 1 << 43 | 1 << 45,
        "SCTLR_EL3": SCTLR,
        "TCR_EL3": TCR_ONE,
        "TTBR0_EL3": S1_ROOT,
        "MAIR_EL3": ALL_WRITE_BACK,
        "PIR_EL3": 0,
        "POR_EL3": 0,
        "cpsr": EL3H,
        **changes,
    }


@dataclass
class Memory:
    """Physical memory with the tables in it; what was never written reads as zero: an invalid descriptor."""

    words: dict[int, int] = field(default_factory=dict)
    tables: dict[int, list[int]] = field(default_factory=dict)

    def read(self, pa: int, size_bytes: int) -> bytes:
        return b"".join(self.words.get(at, 0).to_bytes(8, "little") for at in range(pa, pa + size_bytes, 8))

    def stage1(self, leaf: int, va: int = VA, output: int = PA, tables: tuple[int, int, int] = (0, 0, 0)) -> None:
        """Map a page by raw leaf bits; `tables` are bits of the table descriptors at levels 0, 1 and 2."""
        self._map(S1_ROOT, (39, 30, 21), va, output, leaf, tables)

    def stage2(self, leaf: int, ipa: int = IPA, output: int = PA) -> None:
        self._map(S2_ROOT, (30, 21), ipa, output, leaf, (0, 0))

    def leaf_at(self, root: int, va: int) -> int:
        """Return where the descriptor of a mapped page is."""
        table = root
        for shift in (39, 30, 21) if root == S1_ROOT else (30, 21):
            table = self.words[table + (va >> shift & 0x1FF) * 8] & 0x0000_FFFF_FFFF_F000
        return table + (va >> 12 & 0x1FF) * 8

    def identity(self, leaf: int) -> None:
        """Let stage 2 lead every stage 1 table to itself."""
        for table in self.tables[S1_ROOT]:
            self.stage2(leaf, table, table)

    def _map(self, root: int, shifts: tuple[int, ...], va: int, output: int, leaf: int,
             tables: tuple[int, ...]) -> None:  # fmt: skip
        table = root
        self.tables.setdefault(root, [root])
        for shift, bits in zip(shifts, tables, strict=True):
            at = table + (va >> shift & 0x1FF) * 8
            if at not in self.words:
                self.words[at] = TABLE | root + 0x1000 * len(self.tables[root])
                self.tables[root].append(self.words[at] & 0x0000_FFFF_FFFF_F000)
            self.words[at] |= bits
            table = self.words[at] & 0x0000_FFFF_FFFF_F000
        self.words[table + (va >> 12 & 0x1FF) * 8] = PAGE | AF | output | leaf


def look(memory: Memory, registers: dict[str, int], name: str, va: int = VA) -> Walk:
    return walk(ARM.regime_for(reader(registers), va, name), va, memory.read)


def one_page(leaf: int, registers: dict[str, int], name: str, tables: tuple[int, int, int] = (0, 0, 0)) -> Walk:
    """Walk to a page at stage 1 only."""
    memory = Memory()
    memory.stage1(leaf, tables=tables)
    return look(memory, registers, name)


def refusal(found: Walk, kind: AccessKind, el: int, pstate: int, unprivileged: bool = False) -> Refusal | None:
    return ARM.check(found, Access(kind, el, unprivileged=unprivileged), pstate)


def met(found: Walk, kind: AccessKind, el: int, pstate: int) -> Fault | None:
    """Return the fault an access meets, on the walk or afterwards."""
    if isinstance(found.outcome, Fault):
        return found.outcome
    refused = refusal(found, kind, el, pstate)
    return None if refused is None else refused.fault


def allowed(found: Walk, el: int, pstate: int, unprivileged: bool = False, stage: int = 1) -> str:
    """Return what `check` lets happen, as `rw-`; a refusal has to be a permission fault of the stage's level 3 leaf."""
    if not isinstance(found.outcome, Mapped):
        return f"not mapped: {found.outcome}"
    said = ""
    for kind, letter in ((AccessKind.READ, "r"), (AccessKind.WRITE, "w"), (AccessKind.EXECUTE, "x")):
        refused = refusal(found, kind, el, pstate, unprivileged)
        if refused is not None and refused.fault != Fault(FaultKind.PERMISSION, stage, 3):
            return f"{kind.label}: {refused.fault}"
        said += letter if refused is None else "-"
    return said


def granted(found: Walk, el: int) -> str:
    """Return what the attributes give a level, before processor state."""
    attributes = found.attributes
    if attributes is None or el not in attributes.rights:
        return "nothing said"
    rights = attributes.rights[el]
    return "".join(
        letter if has else "-" for letter, has in zip("rwx", (rights.read, rights.write, rights.execute), strict=True)
    )


def settle(wrong: Iterable[str]) -> None:
    """Fail once, with every row that is not as the manual has it."""
    rows = list(wrong)
    shown = "\n".join(rows[:40])
    assert not rows, f"{len(rows)} rows are not as the manual has them:\n{shown}"
