"""The exception that registers remember, and what speaks for its parts being of one."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from gdbtools.addresses import IPA, VA
from gdbtools.arch.model.access import AccessKind, Privilege
from gdbtools.arch.model.fault import Refusal
from gdbtools.arch.model.syndrome import Syndrome
from gdbtools.bits import Field, FieldValue


@dataclass(frozen=True, slots=True)
class RecordNames:
    """The names of the registers that an exception record is read from; `ipa` is empty where there is none.

    `ipa_holds` says what of an intermediate physical address that one has.
    """

    syndrome: str
    address: str
    return_address: str
    state: str
    ipa: str = ""
    ipa_holds: str = "the page of the IPA, if this is a fault of stage 2"


@dataclass(frozen=True, slots=True)
class InstructionAccess:
    """What one instruction does with memory: as it is written, and the ways in which it may be refused.

    `address` is where its registers lead, None where not all are known; `base` names the one that the address is made
    of, and `pointer` is its value.  `size_bytes` is how much it moves, None where that is not told.
    """

    text: str
    kinds: frozenset[AccessKind]
    size_bytes: int | None = None
    address: VA | None = None
    base: str = ""
    pointer: int | None = None


@dataclass(frozen=True, slots=True)
class ExceptionRecord:
    """The exception that a CPU's registers remember: syndrome, address, and the state it interrupted.

    `target` is the level that took it, `origin` the level it came from, `state` the saved processor state; `regime`
    names the regime that translated for it, and `ipa` is the page of the intermediate physical address that stage 2
    refused, None where no register holds one.  What a source does not have is None: `origin` where neither the saved
    state nor the syndrome tells it.  `address` is 0 where the syndrome says that no register holds one, and none does.
    `names` are those of the registers; `second_stage` names the one below it, for a fault that may be that one's.
    `untaken` names the registers whose being 0, as after reset, says that no exception was ever taken; empty where one
    was.  `asking` is the level as which the access was checked, where that is not the one it came from.  `routing` has
    the register fields that decide which level takes such an exception, `routed_to` which that is: software may have
    handed on what another has taken.  `ipa_unknown` says why no register holds the intermediate physical address of a
    fault of the second stage, empty where one does or none ever could.  `loaded` says whose second stage the registers
    have, where it need not be that of the guest which the exception came from.  `origin_said` is how `origin` is known
    where there is no saved state, `origin_shown` what register beside that state shows it, with its value: empty where
    the state does.
    """

    target: Privilege
    syndrome: Syndrome
    address: VA
    return_address: VA | None
    origin: Privilege | None
    state: int | None
    regime: str
    names: RecordNames
    ipa: IPA | None = None
    second_stage: str = ""
    untaken: tuple[str, ...] = ()
    asking: Privilege | None = None
    routing: tuple[tuple[str, FieldValue], ...] = ()
    routed_to: Privilege | None = None
    ipa_unknown: str = ""
    loaded: str = ""
    origin_said: str = "as the exception class has it"
    origin_shown: str = ""

    @property
    def asked(self) -> Privilege:
        """The level as which the access was checked, as far as that is known."""
        for level in (self.asking, self.origin):
            if level is not None:
                return level
        return self.target


@dataclass(frozen=True, slots=True)
class Shown:
    """What a fault shows of a register that the source lacks: with one of these values, `refusal` explains it.

    `about` says in a word or two what is shown, `said` in a sentence how.
    """

    refusal: Refusal
    register: str
    field: Field
    values: tuple[int, ...]
    about: str
    said: str


@dataclass(frozen=True, slots=True)
class VectorEntry:
    """A vector entry: the manual's name for it, and the kind of interrupt that it is for, empty for other exceptions.

    What interrupts has no syndrome: where it is taken, the registers of an earlier exception are left as they are.
    """

    name: str
    interrupt: str = ""


class Fit(enum.Enum):
    """Whether the registers of an exception can be of one and the same."""

    FITS = enum.auto()
    CONTRADICTS = enum.auto()
    NOT_SHOWN = enum.auto()
    """Nothing that can be read says so, or says otherwise."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """Whether a syndrome fits the state and the instruction beside it, and what says so, in words.

    `of_address` says that what contradicts is the address alone: it is a later exception's.
    """

    fit: Fit
    reason: str
    of_address: bool = False


@dataclass(frozen=True, slots=True)
class EntryNeed:
    """Virtual addresses that an exception's entry needs; `name` says what they are."""

    first: VA
    size_bytes: int
    name: str

    @property
    def end(self) -> VA:
        return VA(self.first + self.size_bytes)
