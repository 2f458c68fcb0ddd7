"""The privileged manual's address translation, written from its text and with nothing of the project's own in it.

A second witness: plain numbers, one walk for all of satp, vsatp and hgatp, headings and step numbers as "The RISC-V
Instruction Set Manual: Volume II, Privileged Architecture" has them. What QEMU does otherwise: departures.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum

V, R, W, X, U, G, A, D = (1 << bit for bit in range(8))
MSTATUS_SUM, MSTATUS_MXR = 1 << 18, 1 << 19
SSE, ADUE, PBMTE = 1 << 3, 1 << 61, 1 << 62
NAPOT_64K = 0b1000
PMM_low = 32
MASKED_BITS = {2: 7, 3: 16}
"""PMLEN by menvcfg.PMM, henvcfg.PMM and senvcfg.PMM, at `PMM_low` ("Pointer Masking Extensions")."""


class Kind(Enum):
    """What touched memory, with the causes that report it: access fault, page fault, guest-page fault (table 14)."""

    FETCH = (1, 12, 20)
    LOAD = (5, 13, 21)
    STORE = (7, 15, 23)


class Why(Enum):
    ACCESS, PAGE, GUEST_PAGE = range(3)


class Implicit(Enum):
    """An access that translation itself makes, as mtinst's pseudoinstruction names it."""

    READ, WRITE = range(2)


@dataclass(frozen=True)
class Hardware:
    """What a hart has."""

    bits: int
    memory: range
    pmp_entries: int = 8
    svnapot: bool = True
    svpbmt: bool = True
    svadu: bool | None = True
    """None where A and D are set by hardware whatever menvcfg says, as before Svade and Svadu had names."""


@dataclass(frozen=True)
class Touch:
    """One explicit access."""

    va: int
    kind: Kind
    user: bool
    virtual: bool
    mstatus: int = 0
    executable: bool = False
    """HLVX: execute permission stands in for read permission."""
    borrowed: bool = False
    """From M-mode, by mstatus.MPRV or by HLV, HLVX or HSV."""
    by_mprv: bool = False
    swap: bool = False
    """An AMO, which is a store."""


@dataclass(frozen=True)
class Refused(Exception):
    why: Why
    kind: Kind
    gpa: int = 0
    implicit: Implicit | None = None
    missing: bool = False
    """Where no memory is, which no register tells ("Physical Memory Attributes")."""

    @property
    def cause(self) -> int:
        return self.kind.value[self.why.value]


@dataclass
class Rules:
    """One hart's translation under these registers; `entries` is what it has written into tables."""

    hardware: Hardware
    registers: Mapping[str, int]
    read: Callable[[int, int], int]
    """Memory by its address and size in bytes."""
    entries: dict[int, int] = field(default_factory=dict)
    va: int = 0
    """The address that was last translated."""
    trail: list[str] = field(default_factory=list)

    def access(self, touch: Touch) -> int:
        """Return the physical address of a word that is touched, or raise `Refused`."""
        return self.translate(touch)

    def translate(self, touch: Touch) -> int:
        self.touch = touch
        first = "vsatp" if touch.virtual else "satp"
        self.va = self._masked(touch, first)
        pa = self._walk(first, self.va, touch.kind, touch.user)
        if touch.virtual:
            pa = self._guest(pa, touch.kind, None)
        # HLVX: "the supervisor physical memory attributes must grant both execute and read permissions".
        if touch.executable and touch.kind is Kind.LOAD:
            self._protected(pa, 4, Kind.FETCH)
        return self._protected(pa, 4, touch.kind)

    def _masked(self, touch: Touch, first: str) -> int:
        """Return the transformed address, which mtval has, too: of explicit loads and stores without MXR."""
        pmlen = self._pmlen(touch)
        if not pmlen:
            return touch.va
        kept = touch.va & (1 << (64 - pmlen)) - 1
        negative = self.registers[first] >> 60 and kept >> (63 - pmlen)
        return kept | ((1 << 64) - (1 << (64 - pmlen)) if negative else 0)

    def _pmlen(self, touch: Touch) -> int:
        exempt = touch.kind is Kind.FETCH or touch.executable
        if self.hardware.bits == 32 or exempt or self._explicit_mxr(touch):
            return 0
        holder = "senvcfg" if touch.user else "henvcfg" if touch.virtual else "menvcfg"
        return MASKED_BITS.get(self.registers[holder] >> PMM_low & 3, 0)

    def _sum(self) -> bool:
        """Return whether S-mode may touch U-mode's pages ("Memory Privilege in mstatus Register")."""
        return bool((self.registers["vsstatus"] if self.touch.virtual else self.touch.mstatus) & MSTATUS_SUM)

    def _mxr(self, name: str, implicit: bool) -> bool:
        """Return whether execute-only pages may be read.

        By explicit loads: sstatus.MXR at both stages, vsstatus.MXR at VS-stage ("Hypervisor Virtual-Machine Load
        and Store Instructions").
        """
        status = self.touch.mstatus | (self.registers["vsstatus"] if name == "vsatp" else 0)
        return bool(status & MSTATUS_MXR) and not implicit

    def _explicit_mxr(self, touch: Touch) -> bool:
        return bool((touch.mstatus | (self.registers["vsstatus"] if touch.virtual else 0)) & MSTATUS_MXR)

    def _guest(self, gpa: int, kind: Kind, implicit: Implicit | None) -> int:
        """Translate by G-stage, where everything counts as U-mode's ("Guest Physical Address Translation")."""
        return self._walk("hgatp", gpa, kind, True, implicit)

    def _walk(self, name: str, address: int, kind: Kind, user: bool, implicit: Implicit | None = None) -> int:
        wide = self.hardware.bits == 64
        guest = name == "hgatp"
        register = self.registers[name]
        mode = register >> 60 if wide else register >> 31
        if mode == 0:
            return address
        levels = mode - 5 if wide else 2
        index_bits, entry_bytes = (9, 8) if wide else (10, 4)
        refused = Refused(
            Why.GUEST_PAGE if guest else Why.PAGE, self.touch.kind, address if guest else 0, implicit if guest else None
        )
        top = 12 + levels * index_bits
        # The upper bits are copies of the highest; a guest physical address has none.
        if guest:
            if address >> (top + 2):
                raise refused
        elif wide and (address >> (top - 1)) not in (0, (1 << (65 - top)) - 1):
            raise refused

        at = (register & ((1 << 44) - 1 if wide else (1 << 22) - 1)) << 12  # "Virtual Address Translation Process", 1
        for level in reversed(range(levels)):
            low = 12 + level * index_bits
            bits = index_bits + 2 if guest and level == levels - 1 else index_bits
            at += (address >> low & ((1 << bits) - 1)) * entry_bytes
            via = at
            if name == "vsatp":
                at = self._guest(via, Kind.LOAD, Implicit.READ)
            self._fetched(name, at, entry_bytes)  # step 2
            pte = self.entries.get(at)
            if pte is None:
                pte = self.read(at, entry_bytes)
            self.trail.append(f"{name} level {level} @ {at:#x} {pte:#x}")
            if self._invalid(name, pte):  # step 3
                raise refused
            ppn = pte >> 10 & ((1 << 44) - 1 if wide else (1 << 22) - 1)
            if pte & (R | W | X):
                break
            if pte & (A | D | U) or (wide and pte >> 61):  # reserved in a pointer
                raise refused
            at = ppn << 12
        else:
            raise refused  # step 4

        if wide and pte >> 63:
            ppn = self._contiguous(level, ppn, address, refused)
        inside = (1 << (low - 12)) - 1
        if ppn & inside:  # step 5: a misaligned superpage
            raise refused
        if not self._permitted(name, pte, kind, user, implicit):  # steps 6 to 8
            raise refused
        wanted = pte | A | (D if kind is Kind.STORE else 0)
        if wanted != pte:  # step 9
            self._update(name, at, via, wanted, entry_bytes, refused)
        return (ppn & ~inside | (address >> 12 & inside)) << 12 | address & 0xFFF

    def _enabled(self, name: str, bit: int) -> bool:
        """Return whether menvcfg, and for VS-stage henvcfg, enables something."""
        return bool(self.registers["menvcfg"] & (self.registers["henvcfg"] if name == "vsatp" else bit) & bit)

    def _shadow_stack(self, name: str, pte: int) -> bool:
        """Return whether a leaf is a shadow stack's; the encoding stays reserved at G-stage."""
        return pte & (R | W | X) == W and name != "hgatp" and self._enabled(name, SSE)

    def _invalid(self, name: str, pte: int) -> bool:
        if not pte & V or (pte & W and not pte & R and not self._shadow_stack(name, pte)):
            return True
        if self.hardware.bits == 32:
            return False
        return self._reserved_type(name, pte >> 61 & 3) or bool(
            pte >> 54 & 0x7F or (pte >> 63 and not self.hardware.svnapot)
        )

    def _reserved_type(self, name: str, pbmt: int) -> bool:
        """Return whether a memory type is reserved ("Svpbmt"): 3 is, and each but 0 where Svpbmt is not enabled."""
        return pbmt == 3 or bool(pbmt and not (self.hardware.svpbmt and self._enabled(name, PBMTE)))

    def _contiguous(self, level: int, ppn: int, address: int, refused: Refused) -> int:
        """Return the page of a NAPOT leaf; all but 64 KiB is reserved ("Svnapot")."""
        if level or ppn & 0xF != NAPOT_64K:
            raise refused
        return ppn & ~0xF | address >> 12 & 0xF

    def _permitted(self, name: str, pte: int, kind: Kind, user: bool, implicit: Implicit | None) -> bool:
        if user and not pte & U:
            return False
        if not user and pte & U and (kind is Kind.FETCH or not self._sum()):
            return False
        if self._shadow_stack(name, pte):
            if kind is not Kind.LOAD:
                raise Refused(Why.ACCESS, self.touch.kind)
            return not self.touch.executable
        if kind is Kind.STORE:
            return bool(pte & W)
        if kind is Kind.FETCH or (self.touch.executable and implicit is None):
            return bool(pte & X)
        return bool(pte & R or (pte & X and self._mxr(name, implicit is not None)))

    def _update(self, name: str, at: int, via: int, wanted: int, size_bytes: int, refused: Refused) -> None:
        """Set A and D where hardware does that, else refuse (Svadu and Svade)."""
        if not self._updates(name):
            raise refused
        if name == "vsatp":
            at = self._guest(via, Kind.STORE, Implicit.WRITE)
        self._protected(at, size_bytes, Kind.STORE)
        self.entries[at] = wanted

    def _updates(self, name: str) -> bool:
        return self.hardware.svadu is None or (self.hardware.svadu and self._enabled(name, ADUE))

    def _fetched(self, name: str, at: int, size_bytes: int) -> None:
        self._protected(at, size_bytes, Kind.LOAD)

    def _protected(self, pa: int, size_bytes: int, kind: Kind) -> int:
        """Return the address; refuse what PMP denies to S- and U-mode, and where no memory is."""
        if not self._allowed(pa, size_bytes, kind):
            raise Refused(Why.ACCESS, self.touch.kind)
        if pa not in self.hardware.memory:
            raise Refused(Why.ACCESS, self.touch.kind, missing=True)
        return pa

    def _allowed(self, pa: int, size_bytes: int, kind: Kind) -> bool:
        last = pa + size_bytes - 1
        below = 0
        for entry in range(self.hardware.pmp_entries):
            config = self.registers["pmpcfg0"] >> 8 * entry & 0xFF
            value = self.registers[f"pmpaddr{entry}"]
            matching = config >> 3 & 3
            if matching == 0:
                first, end = 0, 0
            elif matching == 1:
                first, end = below << 2, value << 2
            elif matching == 2:
                first, end = value << 2, (value << 2) + 4
            else:
                size = 8 << ((value ^ (value + 1)).bit_length() - 1)
                first = value << 2 & -size
                end = first + size
            below = value
            if first <= last and pa < end:
                whole = first <= pa and last < end
                return whole and bool(config & {Kind.LOAD: 1, Kind.STORE: 2, Kind.FETCH: 4}[kind])
        return False
