"""The frames that a paravirtual guest of Xen maps and that do not lead back to it: whose they are by Xen's own records.

Source: Xen, xen/arch/x86/mm.c, `get_page_from_l1e`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gdbtools.errors import Unavailable, Unreadable
from gdbtools.systems.guest_frames import FrameMark, NumberedFrame
from gdbtools.systems.xen import layout
from gdbtools.systems.xen.domains import Domain
from gdbtools.systems.xen.frame_table import DOMID_IO, DOMID_XEN, FREE, FrameRecord, domain_name
from gdbtools.systems.xen.grants import GrantInUse, in_use
from gdbtools.systems.xen.guest_table import GuestTable


class StrangeFrames:
    """What Xen keeps of frames, for one guest."""

    def __init__(self, domain: Domain, table: GuestTable) -> None:
        self._domain, self._frames, self._table = domain, domain.frames, table
        self._number = self._frames.domain(domain.owner)
        self._granting: dict[int, Mapping[int, Sequence[GrantInUse]] | str] = {}

    def of(self, machine: int, pseudo: int | None, record: FrameRecord | None) -> NumberedFrame:
        """Return a frame that does not lead back; `pseudo` is what machine-to-physical has of it."""
        called = machine if self._table.is_identity(machine) else None
        if record is None:
            said = "Xen keeps no record of it: no memory that it gives to anybody"
            if pseudo is None:
                said += ", and past the end of machine-to-physical"
            return NumberedFrame(machine, called, FrameMark.DEVICE, "", said)
        owner = self._frames.domain(record.owner)
        whose = domain_name(owner)
        if owner == DOMID_IO:
            return NumberedFrame(machine, called, FrameMark.DEVICE, record.use, f"{whose} has it")
        if record.counts.XEN_HEAP and record.owner == self._domain.owner:
            return NumberedFrame(machine, None, FrameMark.SHARED, record.use, f"Xen's heap, given to {whose}")
        if owner not in (None, self._number, DOMID_XEN):
            return self._anothers(machine, record, whose)
        if record.counts.XEN_HEAP or owner == DOMID_XEN:
            said = f"of {whose}, and given to no guest"
            return NumberedFrame(machine, None, FrameMark.HYPERVISORS, record.use, said)
        if record.counts.STATE == FREE:
            return NumberedFrame(machine, None, FrameMark.FOREIGN, record.use, "it is free: nobody's")
        if pseudo is None or pseudo == layout.INVALID:
            return NumberedFrame(machine, None, FrameMark.FOREIGN, record.use, f"of {whose}, and no guest's frame")
        back = self._table.machine(pseudo)
        elsewhere = "has none" if back is None else f"has {back:#x}"
        said = f"machine-to-physical has {pseudo:#x}, for which the guest's table {elsewhere}"
        return NumberedFrame(machine, pseudo, FrameMark.FOREIGN, record.use, said)

    def _anothers(self, machine: int, record: FrameRecord, whose: str) -> NumberedFrame:
        """Return a frame of another domain: has that granted it to this one?"""
        grants = self._granted(record.owner)
        if isinstance(grants, str):
            said = f"memory of {whose}; whether that has granted it is not known: {grants}"
            return NumberedFrame(machine, None, FrameMark.OTHERS, record.use, said)
        granted = grants.get(machine, ())
        for grant in granted:
            if grant.to == self._number:
                return NumberedFrame(machine, None, FrameMark.GRANTED, record.use, f"by {whose}, {grant.said}")
        said = f"memory of {whose}, {_to(granted) or 'of which no grant is in use'}: only a privilege maps it"
        return NumberedFrame(machine, None, FrameMark.OTHERS, record.use, said)

    def granted_by_the_guest(self, machine: int) -> str:
        """Return in words to whom the guest has granted a frame of its own; nothing where to nobody, or not known."""
        grants = self._granted(self._domain.owner)
        return "" if isinstance(grants, str) else _to(grants.get(machine, ()))

    def _granted(self, owner: int) -> Mapping[int, Sequence[GrantInUse]] | str:
        """Return the grants of a domain that are in use, by the frame; or why they are not known."""
        if owner not in self._granting:
            self._granting[owner] = self._in_use(owner)
        return self._granting[owner]

    def _in_use(self, owner: int) -> Mapping[int, Sequence[GrantInUse]] | str:
        try:
            return in_use(Domain(owner, self._frames, self._domain.read))
        except (Unavailable, Unreadable) as why:
            return str(why)


def _to(grants: Sequence[GrantInUse]) -> str:
    to = " and ".join(f"{domain_name(each.to)}, {each.said}" for each in grants)
    return f"granted to {to}" if to else ""
