"""A paravirtual guest of Xen: what both tables of frames say, held against each other and against Xen's own records.

Source: Xen, xen/include/public/arch-x86/xen-x86_64.h; xen/arch/x86/mm.c; Linux, arch/x86/xen/mmu_pv.c.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

from gdbtools.addresses import PA, VA
from gdbtools.arch.model import Mapped, Read, ReadRegister, optional
from gdbtools.arch.walk import walk
from gdbtools.arch.x86_64.exceptions.frame import HANDLER, PAGE_FAULT
from gdbtools.arch.x86_64.privileges import SUPERVISOR, USER, USER_CPL
from gdbtools.arch.x86_64.registers.control import Selector
from gdbtools.arch.x86_64.syndrome.page_fault import PageFaultCode
from gdbtools.arch.x86_64.tables.descriptors import PresentEntry
from gdbtools.arch.x86_64.translation import regimes
from gdbtools.arch.x86_64.translation.linear import Linear
from gdbtools.errors import Unavailable, Unreadable
from gdbtools.systems.guest_frames import FrameMark, GuestFault, GuestFrames, GuestRoot, NumberedFrame, Protected
from gdbtools.systems.xen import layout
from gdbtools.systems.xen.arrays import WordArray
from gdbtools.systems.xen.domains import CR2_AT, Domain, SharedInfo, Vcpu
from gdbtools.systems.xen.frame_table import ROOT_TABLE, FrameTable, domain_name
from gdbtools.systems.xen.guest_table import GuestTable, LinearTable, ListedTable
from gdbtools.systems.xen.roots import whole_root
from gdbtools.systems.xen.strange_frames import StrangeFrames

_ROOT_ENTRIES: Final = struct.Struct("<512Q")
_LOWER: Final = slice(0, 256)
_KERNELS: Final = slice(272, 510)
"""Of a root table, the guest's own in the upper half; the last but one and the last have a process's, too."""
_BELOW_FRAME: Final = 16
"""What Xen leaves below an error code: rcx and r11."""


@dataclass(frozen=True)
class Parts:
    """What has been found of one guest."""

    regime: Linear
    """Of a root that has all of Xen in it."""
    frames: FrameTable
    domain: Domain
    shared: SharedInfo
    table: GuestTable
    m2p: WordArray
    vcpus: Sequence[Vcpu]


def recognized(register: ReadRegister, read: Read) -> Linear | None:
    """Return the upper half in force, if Xen's table of frames is in it: for guests to read alone, or for Xen alone."""
    try:
        *_, upper = regimes.ranges(register, None)
        if not isinstance(upper, Linear) or not upper.upper or upper.mode.input_bits != 48:
            return None
        found = [walk(upper, at, read) for at in (layout.READ_ONLY_M2P, layout.M2P)]
    except (Unavailable, Unreadable):
        return None
    guests, own = (each.attributes.rights if each.attributes and each.refused is None else None for each in found)
    if guests is not None:
        return upper if guests[USER].read and not guests[USER].write else None
    return upper if own is not None and own[SUPERVISOR].write and not own[USER].read else None


def find(upper: Linear, register: ReadRegister, read: Read) -> XenGuest:
    """Return the guest whose tables are in force, or the only one that there is; raise `Unavailable` where none is."""
    whole, copied = whole_root(upper, register, read)
    frames = FrameTable(whole, read)
    record = frames.of(whole.root >> layout.PAGE_BITS)
    evidence = [copied] if copied else []
    if record is not None and record.level == ROOT_TABLE:
        owner = record.owner
    else:
        owners = sorted(frames.owners())
        if len(owners) != 1:
            names = ", ".join(domain_name(frames.domain(each)) for each in owners)
            none = "no guest has a root table by Xen's records of frames, or they are not laid out as 4.17's are"
            raise Unavailable(f"several guests have roots ({names}), and that in force is none's" if owners else none)
        (owner,) = owners
        evidence.append("the root in force is Xen's own, and no other guest has one")
    domain = Domain(owner, frames, read)
    m2p = WordArray(whole, layout.M2P, layout.M2P_END, read)
    shared, table = _guests_own(domain, m2p, whole, read)
    return XenGuest(Parts(whole, frames, domain, shared, table, m2p, domain.vcpus()), upper, register, read, evidence)


def _guests_own(domain: Domain, m2p: WordArray, whole: Linear, read: Read) -> tuple[SharedInfo, GuestTable]:
    """Return the guest's shared information page, and its own table, which has to agree with Xen's on both's frames."""
    name = domain_name(domain.frames.domain(domain.owner))
    for shared in domain.shared():
        tables: list[GuestTable] = []
        if shared.root:
            kernel = replace(whole, root=PA(shared.root))
            tables.append(LinearTable(kernel, VA(shared.table), shared.frames, read))
        if shared.frame_lists:
            tables.append(ListedTable(shared.frame_lists, shared.frames, read))
        known = whole.root if domain.frames.of(whole.root >> layout.PAGE_BITS) else shared.root
        checked = [each >> layout.PAGE_BITS for each in (shared.root, known) if each] or [shared.frame_lists]
        for table in tables:
            if any(_leads_back(frame, m2p, table) for frame in checked):
                return shared, table
    raise Unavailable(
        f"Xen's machine-to-physical table is there, but of {name} no table of its own leads back from it: it has none "
        "yet, or is no paravirtual guest"
    )


def _leads_back(machine: int, m2p: WordArray, table: GuestTable) -> bool:
    pseudo = m2p.word(machine)
    return pseudo is not None and table.machine(pseudo) == machine


class XenGuest(GuestFrames):
    """A paravirtual guest of Xen."""

    ranges = layout.GUEST
    page_bits = layout.PAGE_BITS

    def __init__(
        self, parts: Parts, upper: Linear, register: ReadRegister, read: Read, evidence: Sequence[str]
    ) -> None:
        self.parts, self._upper, self._register, self._read = parts, upper, register, read
        self.domain = parts.frames.domain(parts.domain.owner)
        self.name = domain_name(self.domain)
        self.title = f"{self.name}, a paravirtual guest of Xen"
        self._known: dict[int, NumberedFrame] = {}
        self._strange = StrangeFrames(parts.domain, parts.table)
        shared, table = parts.shared, parts.table
        self.evidence = (
            *evidence,
            f"Xen's records of frames have the root at PA {self._own_root:#x} as {self.name}'s, and its shared "
            f"information at PA {shared.pa:#x}",
            f"its own table, {table.said}, leads back from Xen's",
        )

    @cached_property
    def limits(self) -> tuple[str, ...]:  # type: ignore[override]
        places = self.parts.m2p.places()
        count = sum(each[1] for each in places)
        last = max((first + many for first, many, _ in places), default=0)
        holes = "" if last == count else f", up to frame {last:#x} with holes"
        return (
            f"machine-to-physical: {count} frames from VA {layout.M2P:#x}{holes}; past them nothing is known",
            f"physical-to-machine: {self.parts.table.count} frames, {self.parts.table.said}",
        )

    @property
    def _own_root(self) -> PA:
        """The root of the guest that was in force, or else that which it has written down."""
        record = self.parts.frames.of(self.parts.regime.root >> layout.PAGE_BITS)
        is_its = record is not None and record.owner == self.parts.domain.owner
        return PA(self.parts.regime.root if is_its else self.parts.shared.root)

    def _entries(self, root: int) -> tuple[int, ...]:
        return _ROOT_ENTRIES.unpack(self._read(PA(root), _ROOT_ENTRIES.size))

    def _has_kernel(self, entries: Sequence[int]) -> bool:
        return any(PresentEntry.P.of(entry) for entry in entries[_KERNELS])

    @cached_property
    def kernel_root(self) -> PA | None:
        """The root of the process in force with the guest's kernel in it; None where that is not proven.

        A process's has a partner without: both are in the records of the virtual CPU that runs it, and have the same
        lower half.
        """
        root = self._own_root
        if not root:
            return None
        own = self._entries(root)
        if self._has_kernel(own):
            return root
        for vcpu in self.parts.vcpus:
            words = set(vcpu.words)
            if root >> layout.PAGE_BITS not in words:
                continue
            for frame in words:
                if self._is_root(frame) and frame != root >> layout.PAGE_BITS:
                    other = self._entries(frame << layout.PAGE_BITS)
                    if self._has_kernel(other) and _same(other[_LOWER], own[_LOWER]):
                        return PA(frame << layout.PAGE_BITS)
        return None

    def _is_root(self, frame: int) -> bool:
        if not 0 < frame < 1 << 40:
            return False
        record = self.parts.frames.of(frame)
        return record is not None and record.owner == self.parts.domain.owner and record.level == ROOT_TABLE

    @property
    def is_reduced(self) -> bool:
        """Whether the root in force is the guest's without its kernel: a process of it runs."""
        entries = self._entries(self._upper.root)
        return any(PresentEntry.P.of(entry) for entry in entries[_LOWER]) and not self._has_kernel(entries)

    @cached_property
    def kernel(self) -> Mapping[str, int]:  # type: ignore[override]
        root = self.kernel_root
        if root is None and not self.is_reduced:
            root = PA(self.parts.shared.root)
        return {"cr3": root} if root and root != self._upper.root else {}

    def root_registers(self, root: GuestRoot) -> Mapping[str, int]:
        return {"cr3": root.pa}

    def roots(self) -> Sequence[GuestRoot]:
        found = []
        for frame, record in self.parts.frames.protected(self.parts.domain.owner):
            if record.level == ROOT_TABLE and record.type.VALIDATED:
                pa = PA(frame << layout.PAGE_BITS)
                found.append(GuestRoot(pa, self._has_kernel(self._entries(pa))))
        first = self.kernel.get("cr3", self._own_root)
        return sorted(found, key=lambda each: (each.pa != first, not each.is_kernel, each.pa))

    def protected(self) -> Mapping[int, Protected]:
        return {
            frame: Protected(frame, record.use, record.level)
            for frame, record in self.parts.frames.protected(self.parts.domain.owner)
        }

    def of(self, machine: int) -> NumberedFrame:
        known = self._known.get(machine)
        if known is None:
            known = self._known[machine] = self._of(machine)
        return known

    def _of(self, machine: int) -> NumberedFrame:
        pseudo, record = self.parts.m2p.word(machine), self.parts.frames.of(machine)
        if pseudo is not None and pseudo != layout.INVALID:
            back = self.parts.table.machine(pseudo)
            if back == machine and (record is None or record.owner == self.parts.domain.owner):
                said = self._strange.granted_by_the_guest(machine)
                return NumberedFrame(machine, pseudo, FrameMark.OWN, "" if record is None else record.use, said)
        if machine == self._upper.root >> layout.PAGE_BITS and self._upper.root != self.parts.regime.root:
            said = f"Xen's copy of the root at PA {self.parts.regime.root:#x}"
            return NumberedFrame(machine, None, FrameMark.SHARED, "" if record is None else record.use, said)
        return self._strange.of(machine, pseudo, record)

    def passed_on(self) -> GuestFault | None:
        """Return the page fault that Xen has put on the guest's own stack, as the processor would have.

        Xen has rcx and r11 below the error code, keeps the address in the virtual CPU's information, and leaves the
        guest's kernel, which runs in ring 3 too, out of U.
        """
        register, domain = self._register, self.parts.domain
        selector, pc = optional(register, "cs"), register("rip")
        if selector is None or Selector(selector).RPL != USER_CPL:
            return None
        root = self.parts.regime.root >> layout.PAGE_BITS
        vcpu = next((each for each in self.parts.vcpus if root in each.words), None)
        if vcpu is None or domain.handler(vcpu, PAGE_FAULT) != pc:
            return None
        stack = VA(register("rsp") + _BELOW_FRAME)
        outcome = walk(self._upper, stack, self._read).outcome
        if not isinstance(outcome, Mapped):
            return None
        address = domain.faulted_at(vcpu)
        code = PageFaultCode(int.from_bytes(self._read(outcome.address, 8), "little"))
        said = [f"the address is in the virtual CPU's information, at PA {vcpu.info + CR2_AT:#x}: cr2 is Xen's"]
        if not code.U:
            said.append("Xen has cleared U: the guest's kernel asked, which runs in ring 3 as its processes do")
        asked = int(code.with_(U=1)).to_bytes(8, "little")
        registers = {HANDLER: pc, "rsp": stack, "cr2": address}
        return GuestFault(registers, ((PA(outcome.address), asked),), tuple(said))


def _same(one: Sequence[int], other: Sequence[int]) -> bool:
    """Return whether entries lead to the same tables, whatever was accessed of them."""
    accessed = PresentEntry.A.mask
    return all(a | accessed == b | accessed for a, b in zip(one, other, strict=True) if PresentEntry.P.of(a | b))
