"""The kernel of this machine as its own memory shows it: found by what it wrote down for crash dumps.

Notes alone prove nothing: those of a kernel before this one stay in memory.  They are believed if the tables that they
name lead where they say that the kernel is, and if what they lead to there holds together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from gdbtools import systems
from gdbtools.addresses import PA, VA
from gdbtools.analysis.roots.table_survey import chunks
from gdbtools.arch.isolation import overlaid
from gdbtools.arch.model import Derived, Mapped, Read, Regime
from gdbtools.arch.walk import walk
from gdbtools.errors import Unavailable, Unreadable
from gdbtools.machine.model import Machine
from gdbtools.systems import vmcoreinfo
from gdbtools.systems.contradicted import contradicted
from gdbtools.systems.structures import Extent
from gdbtools.systems.tasks import OwnKernel
from gdbtools.units import PAGE_BYTES


@dataclass(frozen=True)
class FoundKernel:
    """A kernel, where its notes are and what they are, the registers that they imply, and the regime of its tables."""

    own: OwnKernel
    notes: PA
    text: bytes
    derived: Derived
    regime: Regime

    @property
    def evidence(self) -> tuple[str, ...]:
        """What shows that it is this machine's kernel."""
        root = f"the tables at PA {self.regime.root:#x}, which it names, lead where it says that its text is"
        return (f"VMCOREINFO at PA {self.notes:#x}", root, *self.own.evidence)

    def at(self, read: Read) -> FoundKernel:
        """Return it as memory is now; raise `Unavailable` where its notes are not there any more."""
        if read(self.notes, len(self.text)) != self.text:
            raise Unavailable(f"the kernel that was at PA {self.notes:#x} is not there any more")
        return replace(self, own=self.own.reading(Paged(self.regime, read)))


@dataclass
class Paged:
    """A kernel's virtual memory at one stop: each page is translated and read once."""

    regime: Regime
    under: Read
    _pages: dict[int, bytes] = field(default_factory=dict)

    def __call__(self, first: VA, size_bytes: int) -> bytes:
        found, at = [], int(first)
        end = at + size_bytes
        while at < end:
            page = at & -PAGE_BYTES
            found.append(self._page(page)[at - page : end - page])
            at = page + PAGE_BYTES
        return b"".join(found)

    def _page(self, at: int) -> bytes:
        if at not in self._pages:
            self._pages[at] = self.under(place_of(self.regime, VA(at), self.under), PAGE_BYTES)
        return self._pages[at]


def place_of(regime: Regime, at: VA, read: Read) -> PA:
    """Return where an address of a kernel's is in memory; raise `Unavailable` where its tables do not map it."""
    outcome = walk(regime, at, read).outcome
    if not isinstance(outcome, Mapped):
        raise Unavailable(f"the kernel's tables do not map {at:#x}")
    return PA(outcome.address)


def own_kernel(machine: Machine, extents: Sequence[Extent], known: FoundKernel | None = None) -> FoundKernel:
    """Return the kernel of a machine: the `known` one, as it is now, where that is still there.

    `extents` are where memory is that may hold its notes: (first physical address, size in bytes).

    Raises `Unavailable` where no kernel's notes are found, or those that are do not hold together.
    """
    read = machine.memory.read
    if known is not None:
        try:
            return known.at(read)
        except Unavailable:
            pass
    why = []
    for pa, text in notes_in(extents, read):
        try:
            return _of_notes(machine, pa, text)
        except Unavailable as missing:
            why.append(f"VMCOREINFO at PA {pa:#x}: {_other(machine, text) or missing}")
        except Unreadable as missing:
            base = "is this where the image begins?"
            why.append(f"VMCOREINFO at PA {pa:#x} leads to PA {missing.pa:#x}, which this source does not have: {base}")
    raise Unavailable(why[0] if why else "no kernel's VMCOREINFO is in memory, by which its tasks would be found")


def notes_in(extents: Sequence[Extent], read: Read) -> Iterator[tuple[PA, bytes]]:
    """Yield (physical address, text) of each VMCOREINFO that a page of memory begins with."""
    for pa, data in chunks(extents, read, None):
        place = data.find(vmcoreinfo.FIRST_KEY)
        while place >= 0:
            if place % PAGE_BYTES == 0:
                yield PA(pa + place), data[place : place + PAGE_BYTES].split(b"\0")[0]
            place = data.find(vmcoreinfo.FIRST_KEY, place + 1)


def _other(machine: Machine, text: bytes) -> str:
    """Return whose notes these are, where they are another architecture's; else empty."""
    name = systems.architecture_of_notes(vmcoreinfo.parse(text))
    return f"it is that of a kernel for {name}: --arch {name}" if name not in (None, machine.architecture.name) else ""


def _of_notes(machine: Machine, pa: PA, text: bytes) -> FoundKernel:
    architecture, read = machine.architecture, machine.memory.read
    info = vmcoreinfo.parse(text)
    try:
        level = architecture.privilege(machine.register)
    except Unavailable:
        level = architecture.supervisor
    derived = systems.registers_from_notes(architecture, info, max(level, architecture.supervisor))
    wrong = contradicted(architecture, derived, machine.register, read)
    if wrong:
        raise Unavailable(wrong)
    start = next(iter(derived.places), None)
    if start is None:
        raise Unavailable("it does not say where the kernel's text is")
    regime = architecture.regime_for(overlaid(machine.register, derived.values), start, derived.regime).alone()
    return FoundKernel(systems.own_kernel(architecture, info, Paged(regime, read)), pa, text, derived, regime)
