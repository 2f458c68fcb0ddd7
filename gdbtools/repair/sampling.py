"""Samples of what a guest touches: access flags cleared, an interval of its life, and what came of the flags.

Where software sets the flags, the faults are served, and tell who touched what and when.  Where hardware does, or the
guest's own handler is to do it, the flags are read afterwards.
"""

from __future__ import annotations

import enum
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from gdbtools.addresses import PA, VA, Input, moved
from gdbtools.analysis.faults.diagnosis import Diagnosis
from gdbtools.analysis.working_set import Leaf, Sample, Touch
from gdbtools.arch.capabilities import DirtyConvention
from gdbtools.arch.model import Hole, ReadRegister, Regime
from gdbtools.arch.walk import walk
from gdbtools.bits import FieldValue
from gdbtools.errors import Refused, Unavailable
from gdbtools.machine.model import Live, Machine
from gdbtools.repair import run_gadget, tlb
from gdbtools.repair.accessed import AccessFlags, Stretch, find, set_by_hardware
from gdbtools.repair.change import Change
from gdbtools.repair.log import Written, net
from gdbtools.repair.needed import Needed
from gdbtools.repair.service import Policy, Service
from gdbtools.repair.tlb import Invalidation


class Method(enum.Enum):
    """How a touch shows."""

    FAULTS = enum.auto()
    """By its fault, which is served."""
    FLAGS = enum.auto()
    """By the flag, which hardware or the guest's own handler has set."""


@dataclass(frozen=True)
class SamplingSetting:
    """What is sampled, and how.

    `controls` are the register fields that say whether hardware sets the flags; `spared` are the leaves that keep
    theirs, with the reason.  `borrowed` is what the guest lends to empty the TLBs, None where nothing had to be.
    """

    method: Method
    by_hardware: bool
    controls: Sequence[tuple[str, FieldValue]]
    spared: Mapping[Leaf, str]
    holes: Sequence[Hole]
    borrowed: Invalidation | None
    always: str = ""
    """What says that hardware always sets them, where no field does."""


@dataclass(frozen=True)
class Wanted:
    """What is to be sampled: a range of a regime (None: the one in force), and by which method (None: what fits).

    With `everywhere` faults outside the range are served, too.
    """

    first: Input
    size_bytes: int
    regime: str | None = None
    by: str | None = None
    everywhere: bool = False

    @property
    def last(self) -> Input:
        return moved(self.first, self.size_bytes - 1)


class Sampling:
    """A range whose access flags are cleared, sample by sample, and in the end as if they never had been.

    Whatever is refused is refused when it is made, before anything is written.
    """

    def __init__(self, machine: Machine, live: Live, dirty: DirtyConvention, wanted: Wanted, written: Written) -> None:
        self.ended = ""
        """Why the guest stopped before its time was up."""
        self.accessed = 0
        """How many leaves whose flag was clear before have it now, for an access that was served."""
        self._machine, self._live, self._dirty = machine, live, dirty
        self._wanted = wanted
        self._written = written
        self._regimes: Sequence[Regime] = machine.architecture.regimes(machine.register, wanted.regime)
        if not any(regime.levels for regime in self._regimes):
            raise Refused(f"the MMU is off ({self._regimes[0].name}); nothing has an access flag")
        found = find(machine.architecture, self._regimes, machine.memory, wanted.first, wanted.last)
        if not found.stretches:
            raise Refused(f"nothing is mapped from {wanted.first:#x} on; `mmu map` lists what is")
        self._flags = AccessFlags(machine.architecture, machine.memory, written)
        self._leaves: Sequence[Leaf] = tuple(self._flags.read(found.stretches))
        self._watched = {leaf.pa for leaf in self._leaves}
        by_hardware = set_by_hardware(machine.architecture, found.stretches[0], machine.memory.read)
        control = machine.architecture.repair.flag_control if by_hardware else ""
        method = _method(wanted.by, control, self._regimes[0])
        spared = {} if by_hardware else self._spare(machine, method)
        self._spared = {leaf.pa for leaf in spared}
        if self._watched <= self._spared:
            why = ", ".join(sorted(set(spared.values())))
            raise Refused(f"without what is mapped there no fault could be taken: {why}; give another range")
        borrowed = self._empty_tlb(machine, by_hardware)
        controls = machine.architecture.repair.access_flag_controls(machine.register, wanted.regime)
        always = control if not controls else ""
        self.setting = SamplingSetting(method, by_hardware, controls, spared, found.holes, borrowed, always)
        self._touches: dict[int, Touch] = {}
        self._began = 0.0
        self._gone = False

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Set the flags again if an error ends the block; of a guest that is lost the log has what was written."""
        try:
            yield
        except Unavailable:
            raise
        except BaseException:
            self.finish(False)
            raise

    def sample(self, seconds: float, since: float) -> Sample:
        """Clear the flags, let the guest run, and see; `since` is when the first sample began."""
        machine = self._live.machine()
        self._flags.clear(self._spared)
        self._empty_tlb(machine, self.setting.by_hardware)
        self._touches = {}
        self._began = time.monotonic()
        self.ended = self._run(seconds)
        took = time.monotonic() - self._began
        try:
            found = self._flags.read(*self._stretches(self._live.machine()))
        except Unavailable as error:
            # The guest is gone, with its tables: what is known is what its faults have told.
            self.ended = self.ended or str(error)
            self._gone = True
            found = dict.fromkeys(self._leaves, False)
        self._watched = {leaf.pa for leaf in found}
        self._leaves = tuple(leaf for leaf in sorted(found, key=lambda leaf: leaf.first) if leaf.pa not in self._spared)
        touched = {leaf: self._touches.get(leaf.pa) for leaf in self._leaves if found[leaf] or leaf.pa in self._touches}
        return Sample(self._began - since, took, self._leaves, touched)

    def finish(self, leave: bool) -> int | None:
        """Set the flags again that are missed, unless they are to be left; returns how many, None if the guest is gone.

        What then is otherwise than it was is what `mmu undo` takes back.
        """
        if self._gone:
            return None
        again = 0 if leave else self._flags.set_again(self._touches)
        changed = net(self._written.changes, self._machine.memory)
        kept = [each for each in changed if not self._flags.gives_back(each)]
        self._written.changes[:] = kept
        self.accessed = sum(map(self._sets_flag, kept))
        return again

    def _sets_flag(self, change: Change) -> bool:
        cleared = self._machine.architecture.repair.clear_access_flag
        return bool(cleared(change.before) == change.before and cleared(change.after) != change.after)

    def wants(self, found: Diagnosis) -> bool:
        """Serve a fault of the range, by its descriptor: the same address is another's in another address space."""
        return self._wanted.everywhere or self._leaf_of(found) is not None

    def saw(self, machine: Machine, found: Diagnosis) -> None:
        """Remember who touched a leaf first."""
        pa, access = self._leaf_of(found), found.access
        if pa is not None and access is not None and pa not in self._touches:
            seconds = time.monotonic() - self._began
            self._touches[pa] = Touch(seconds, access, machine.current, found.exception.return_address or VA(0))

    def _leaf_of(self, found: Diagnosis) -> PA | None:
        leaf = None if found.walk is None else found.walk.leaf
        return leaf.pa if leaf is not None and leaf.pa in self._watched else None

    def _run(self, seconds: float) -> str:
        if self.setting.method is Method.FLAGS:
            return self._live.serve(None, seconds)
        service = Service(Policy(), self._dirty, self._written, onlooker=self)
        ended = self._live.serve(service.handle, seconds)
        return service.summary.ended or ended

    def _stretches(self, machine: Machine) -> tuple[Sequence[Stretch], Sequence[Stretch]]:
        """Return what maps the range now, where a CPU is in its address space, and what was known of the rest."""
        live = {_identity(regime) for cpu in machine.cpus for regime in self._used(cpu.registers.read)}
        here = [regime for regime in self._regimes if _identity(regime) in live]
        fresh = find(machine.architecture, here, machine.memory, self._wanted.first, self._wanted.last)
        known = [each for each in self._flags.stretches if _identity(each.regime) not in live]
        return fresh.stretches, known

    def _used(self, read: ReadRegister) -> Sequence[Regime]:
        try:
            return self._machine.architecture.regimes(read, self._wanted.regime)
        except Unavailable:
            return ()

    def _empty_tlb(self, machine: Machine, by_hardware: bool) -> Invalidation | None:
        def reserved(address: VA) -> bool:
            return not by_hardware and self._descriptor(machine, machine.register, address) in self._watched

        return tlb.empty(machine, self._live, reserved, self._wanted.regime)

    def _spare(self, machine: Machine, method: Method) -> Mapping[Leaf, str]:
        """Return the leaves without which no fault could be taken, or returned from."""
        needed = Needed(machine, self._wanted.regime, machine.memory.read)
        for address in run_gadget.returns(machine).values() if method is Method.FAULTS else ():
            if address is not None:
                needed.add(address, "the exception return that is borrowed")
        reasons = {leaf: needed.why(leaf.first, leaf.size_bytes, leaf.pa) for leaf in self._leaves}
        return {leaf: why for leaf, why in reasons.items() if why}

    def _descriptor(self, machine: Machine, read: ReadRegister, address: Input) -> PA | None:
        """Return where the leaf descriptor of an address is, None where nothing maps it."""
        leaf = walk(
            machine.architecture.regime_for(read, address, self._wanted.regime), address, machine.memory.read
        ).leaf
        return None if leaf is None else leaf.pa


def _method(wanted: str | None, by_hardware: str, regime: Regime) -> Method:
    """Return the way that is asked for, else the one that fits; raises `Refused` for one that cannot be.

    `by_hardware` is what has hardware set the flags, empty where it does not.
    """
    if wanted == "faults" and by_hardware:
        raise Refused(f"hardware sets the access flags here ({by_hardware}), so nobody faults; ask with --by flags")
    if regime.stage != 1 and wanted != "flags" and not by_hardware:
        raise Refused("only faults of stage 1 are served; ask with --by flags where the hypervisor sets its own flags")
    if wanted is None:
        return Method.FLAGS if by_hardware else Method.FAULTS
    return Method[wanted.upper()]


def _identity(regime: Regime) -> object:
    return regime.root, regime.first, regime.last, regime.levels
