"""`fault`: why did it fault?  The verdict in one sentence, the deciding bit and where it lives, then the evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gdbtools.addresses import VA
from gdbtools.analysis.conventions import of_deciding_entry
from gdbtools.analysis.faults.descriptor_history import steps_of
from gdbtools.analysis.faults.diagnosis import Diagnosis, Verdict, diagnose
from gdbtools.analysis.faults.spurious_causes import suspicions
from gdbtools.analysis.faults.spurious_evidence import change_since, spurious_evidence
from gdbtools.analysis.faults.spurious_model import SeenChange, Suspicion
from gdbtools.arch.capabilities import Architecture
from gdbtools.arch.isolation import Isolation
from gdbtools.arch.model import ExceptionRecord
from gdbtools.commands.fault.second_stage import SecondStageAnswer, at_address, second_stage
from gdbtools.commands.fault.verdict import answering_pa, ipa_label, sentence
from gdbtools.commands.guest_frames import WalkFrames, frames_on, guest_of, passed_on
from gdbtools.commands.session import Session
from gdbtools.commands.spaces import CURRENT, of_last_exception
from gdbtools.commands.what_if import Supposition, WhatIf, suppose
from gdbtools.errors import Unavailable
from gdbtools.machine.layers import Remembered
from gdbtools.machine.model import Machine
from gdbtools.render.document import Span

if TYPE_CHECKING:
    from gdbtools.analysis.own_places import OwnPlace


@dataclass(frozen=True)
class FaultSymbols:
    """What is at the pc, the return address and the address of a fault, by name; empty where that is not known."""

    pc: str = ""
    return_address: str = ""
    address: str = ""


def symbols_of(machine: Machine, exception: ExceptionRecord, overwritten: bool = False) -> FaultSymbols:
    """Return the name of the addresses of an exception, as far as there are any, and names for them."""
    try:
        pc = machine.symbol(VA(machine.register(machine.architecture.pc)))
    except Unavailable:
        pc = ""
    elr = exception.return_address
    far = machine.symbol(exception.address) if exception.syndrome.address_valid and not overwritten else ""
    return FaultSymbols(pc, "" if elr is None else machine.symbol(elr), far)


@dataclass(frozen=True)
class Answer:
    """A diagnosis, the architecture it was made in, and what is suspected where the tables permit.

    `changed` is a descriptor that explained a fault of which the tables say another now.
    `backing` is what is at the physical address that aborted: empty for nothing, None where nobody can be asked.
    """

    diagnosis: Diagnosis
    architecture: Architecture
    suppositions: tuple[Supposition, ...] = ()
    suspicions: tuple[Suspicion, ...] = ()
    backing: str | None = None
    isolation: Isolation | None = None
    """Set where the address lies in a range that is a reduced one now; `space` is the one that was walked."""
    space: str = CURRENT
    symbols: FaultSymbols = FaultSymbols()
    live: bool = True
    changed: SeenChange | None = None
    frames: WalkFrames | None = None
    """Both numbers of each frame on the way, in a paravirtual guest."""
    passed_on: tuple[str, ...] = ()
    """How a hypervisor has passed the fault on to its guest, in words."""
    asked_since: bool = False
    """Whether hardware was asked to set access flags at this stop, after the fault."""
    software: str = ""
    """What software's own bits say of the entry that decided; empty where no convention says anything."""
    second_stage: SecondStageAnswer | None = None
    """What a fault of the second stage comes of."""
    place: OwnPlace | None = None
    """What the guest's own kernel has at the address; None where nobody asks."""

    @property
    def verdict(self) -> list[str | Span]:
        there = at_address(self.second_stage, ipa_label(self.diagnosis))
        return sentence(self.diagnosis, self.architecture, self.suspicions, self.backing, there)


@dataclass(frozen=True, kw_only=True)
class Options(WhatIf):
    """What may be asked of `fault`, as `declared` has it."""

    names: bool = False


def run(session: Session, options: Options) -> Sequence[Answer]:
    stopped = replace(session.machine, memory=Remembered(session.machine.memory))
    guest = guest_of(stopped)
    machine, passed = passed_on(stopped, guest)
    supposed = suppose(machine, options)
    machine, isolation, space = of_last_exception(supposed.spaces)
    is_reduced = supposed.spaces.isolation is not None
    found = diagnose(machine.architecture, machine.register, machine.memory.read, is_reduced=is_reduced)
    suspected: tuple[Suspicion, ...] = ()
    if found.verdict is Verdict.TABLES_PERMIT:
        around = spurious_evidence(machine, found, session.seen, session.written.last_change)
        suspected = suspicions(found, around, machine.architecture.exceptions)
    changed: SeenChange | None = None
    if found.verdict is Verdict.TABLES_DIFFER and found.belongs.joined:
        changed = change_since(machine, found, session.seen, session.written.last_change)
    if found.walk is not None and not supposed.suppositions:
        session.seen.remember(steps_of(found.walk), machine.current)
    aborted_at = answering_pa(found)
    backing = None if aborted_at is None or machine.live is None else machine.live.backing(aborted_at)
    architecture = machine.architecture
    answer = Answer(
        found,
        architecture,
        supposed.suppositions,
        suspected,
        backing,
        isolation,
        space,
        symbols_of(machine, found.exception, found.belongs.overwritten),
        live=machine.live is not None,
        asked_since=machine.live is not None and session.written.asked_hardware,
        changed=changed,
        frames=None if found.walk is None else frames_on(found.walk, guest),
        passed_on=() if passed is None else passed.said,
        software=of_deciding_entry(architecture, found.walk, found.predicted),
        second_stage=second_stage(machine, found, session.kept.trees),
        place=_place(session, found) if options.names else None,
    )
    return (answer,)


def _place(session: Session, found: Diagnosis) -> OwnPlace | None:
    from gdbtools.commands.tasks.naming import places_of  # only such a question needs it

    walked = found.walk
    if walked is None or walked.regime.stage != 1:
        return None
    return places_of(session).at(walked.input, walked.regime)


def finding(answer: Answer) -> bool:
    """Return whether an answer is a finding, a fault of the last exception's: exit status 1."""
    diagnosis = answer.diagnosis
    return diagnosis.exception.syndrome.fault is not None and diagnosis.verdict is not Verdict.INTERRUPT
