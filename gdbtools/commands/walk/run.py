"""`walk`: every descriptor on the way of an address, and where it leads or why it does not."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from gdbtools.addresses import VA, Input
from gdbtools.analysis.contiguity import Contiguity, contiguity
from gdbtools.analysis.conventions import of_deciding_entry, of_mapped_leaf
from gdbtools.arch.capabilities import Architecture
from gdbtools.arch.isolation import Isolation
from gdbtools.arch.model import Access, AccessKind, Privilege, Refusal, Regime, Walk
from gdbtools.arch.walk import walk
from gdbtools.commands.guest_frames import WalkFrames, frames_on, guest_of, guest_wanted
from gdbtools.commands.privileges import any_of, check_kind, check_runs_in, privilege_asked
from gdbtools.commands.session import OfGuest, OfTask, Session
from gdbtools.commands.spaces import CURRENT, KERNEL, PV
from gdbtools.commands.what_if import Supposition, WhatIf, suppose
from gdbtools.errors import MissingRegister, Unavailable, UsageError
from gdbtools.machine.model import Machine

if TYPE_CHECKING:
    from gdbtools.analysis.own_places import OwnPlace, OwnPlaces

_ACCESSES = {
    "read": AccessKind.READ,
    "write": AccessKind.WRITE,
    "execute": AccessKind.EXECUTE,
    "read-code": AccessKind.READ_EXECUTABLE,
    "shadow-stack-read": AccessKind.SHADOW_STACK_READ,
    "shadow-stack-write": AccessKind.SHADOW_STACK_WRITE,
}


@dataclass(frozen=True)
class Translation:
    """One address walked and, if an access was asked about, checked: `refused` is the walk's or the check's.

    `may_refuse` is why a CPU may refuse it all the same.
    """

    walk: Walk
    architecture: Architecture
    access: Access | None
    refused: Refusal | None
    contiguity: Contiguity | None
    suppositions: tuple[Supposition, ...]
    isolation: Isolation | None = None
    """Set where the address lies in a range that is a reduced one."""
    space: str = CURRENT
    may_refuse: Refusal | None = None
    symbol: str = ""
    """What is at the address, by name; empty where that is not known."""
    frames: WalkFrames | None = None
    """Both numbers of each frame on the way, in a paravirtual guest."""
    done_otherwise: str = ""
    """What is known of an emulator that does not refuse this."""
    software: str = ""
    """What software's own bits say of the entry that refused, or of the leaf; empty where no convention does."""
    place: OwnPlace | None = None
    """What the guest's own kernel has at the address; None where nobody asks."""


@dataclass(frozen=True, kw_only=True)
class Options(WhatIf, OfGuest, OfTask):
    """What may be asked of `walk`, as `declared` has it."""

    address: Sequence[Input]
    access: str | None = None
    privilege: str | None = None
    el: str | None = None
    unprivileged: bool = False
    regime: str | None = None
    root: int | None = None
    space: str | None = None
    names: bool = False


def run(session: Session, options: Options) -> Sequence[Translation]:
    supposed = suppose(session.machine, options, options.regime, options.space, options.root)
    machine, spaces = supposed.machine, supposed.spaces
    space = PV if options.space == PV else CURRENT if machine is spaces.machine else KERNEL
    guest = guest_wanted(spaces.machine) if space == PV else guest_of(spaces.machine)
    architecture, register, read = machine.architecture, machine.register, machine.memory.read
    asked = privilege_asked(architecture, options.privilege, options.el)
    wanted = bool(options.access or asked is not None or options.unprivileged)
    if options.unprivileged and options.access == "execute":
        raise UsageError("--unprivileged asks for a load or a store, and --access execute for neither; leave one out")
    places = _places(session, options)
    answers: list[Translation] = []
    for address in options.address:
        # Registers before memory: a live source switches modes between the two.
        regime, met, access = (
            _question(machine, address, options, asked)
            if wanted
            else (architecture.regime_for(register, address, options.regime), None, None)
        )
        state = architecture.state(register) if access else 0
        refuses = None if met is None else partial(architecture.check, access=met, state=state)
        found = walk(regime, address, read, refuses)
        refused = found.refused if met is None else architecture.check(found, met, state)
        run = contiguity(found, read)
        isolation = spaces.isolation if spaces.hides(address) else None
        perhaps = None if met is None or refused is not None else architecture.may_refuse(found, met)
        answers.append(
            Translation(
                found,
                architecture,
                access,
                refused,
                run,
                supposed.suppositions,
                isolation,
                space,
                perhaps,
                machine.symbol(VA(address)) if regime.stage == 1 else "",
                frames_on(found, guest),
                architecture.done_otherwise(refused, register) if refused is not None else "",
                software=of_deciding_entry(architecture, found, refused)
                or of_mapped_leaf(architecture, found, register, machine.memory.read),
                place=None if places is None or regime.stage != 1 else places.at(address, regime),
            )
        )
    return answers


def _places(session: Session, options: Options) -> OwnPlaces | None:
    if not options.names and options.task is None:
        return None
    from gdbtools.commands.tasks.naming import places_of  # only such a question needs it

    return places_of(session)


def _question(
    machine: Machine, address: Input, options: Options, named: Privilege | None
) -> tuple[Regime, Access, Access]:
    """Return the regime that is asked, and the access: as it is meant, and as it is checked."""
    architecture, register = machine.architecture, machine.register
    kind, asking = _ACCESSES[options.access or "read"], named
    if asking is None and options.regime is None:
        with suppress(Unavailable):
            asking = architecture.privilege(register)
    name = options.regime
    if name is None and asking is not None:
        name = architecture.regime_asked(register, asking, kind)
    regime = architecture.regime_for(register, address, name)
    access = Access(kind, _level(machine, regime, options, named), options.unprivileged)
    check_kind(architecture, access)
    return (*architecture.met_by(regime, access, register), access)


def _level(machine: Machine, regime: Regime, options: Options, named: Privilege | None) -> Privilege:
    """Return whose access is asked about: of the level that was named, the CPU's own, or the regime's highest."""
    levels = machine.architecture.privileges_of(regime)
    if named is not None:
        check_runs_in(machine.architecture, named, regime, by_number=options.el is not None)
        return named
    try:
        own = machine.architecture.privilege(machine.register)
    except MissingRegister as missing:
        raise missing.or_say(f"say who asks: --privilege {any_of(levels)}") from None
    return own if own in levels else levels[-1]


def finding(answer: Translation) -> bool:
    """Return whether an answer is a finding: exit status 1."""
    return answer.refused is not None
