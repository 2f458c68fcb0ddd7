"""In what two mappings of one address may differ, and which of it counts."""

from __future__ import annotations

import enum
from typing import Final, NamedTuple

from gdbtools.addresses import Input
from gdbtools.arch.model import FaultKind, LeafKind, Run


class Aspect(enum.Enum):
    """In what two mappings of one address may differ; the value is its name for a user."""

    OUTPUT = "output"
    SIZE = "size"
    RIGHTS = "rights"
    MEMORY = "memory"
    SHAREABILITY = "shareability"
    ACCESS_FLAG = "af"
    DIRTY = "dirty"
    GLOBAL = "global"
    CONTIGUOUS = "contiguous"
    GUARDED = "guarded"
    NON_SECURE = "non-secure"
    SOFT_INVALID = "soft-invalid"
    FAULT = "fault"


USE: Final = frozenset((Aspect.ACCESS_FLAG, Aspect.DIRTY))
"""What changes by use alone, without anybody changing a mapping."""

NO_ASPECTS: Final[frozenset[Aspect]] = frozenset()

_TRAITS: Final = (
    Aspect.RIGHTS,
    Aspect.MEMORY,
    Aspect.SHAREABILITY,
    Aspect.ACCESS_FLAG,
    Aspect.DIRTY,
    Aspect.GLOBAL,
    Aspect.CONTIGUOUS,
    Aspect.GUARDED,
    Aspect.NON_SECURE,
    Aspect.SOFT_INVALID,
    Aspect.FAULT,
)
"""The aspects that all leaves of a kind share, in the order of `_traits`."""
_AT_HOME: Final = frozenset((Aspect.MEMORY, Aspect.SHAREABILITY, Aspect.GLOBAL, Aspect.GUARDED, Aspect.NON_SECURE))


class ComparedKind(NamedTuple):
    """A kind of leaf as far as it is compared: `number` is equal where nothing that counts differs.

    `lasting` is what of its rights use does not change; `home` is equal for the leaves of one stretch of addresses,
    whatever use, the contiguous bit and faults do to them.  `dirty` and `writable`, by anybody, are as they are.
    """

    number: int
    traits: tuple[object, ...]
    lasting: object
    home: object
    dirty: bool | None = None
    writable: bool = False


NOTHING: Final = ComparedKind(0, (), None, None)
"""Not mapped."""


class Kinds:
    """The kinds of leaves that one comparison has met, without what is ignored."""

    def __init__(self, ignored: frozenset[Aspect]) -> None:
        self._ignored = ignored
        self._met: dict[int, tuple[LeafKind, ComparedKind]] = {}
        """By the identity of a kind, which is kept so that nothing else gets it."""
        self._numbers: dict[object, int] = {}
        self._differ: dict[tuple[int, int], frozenset[Aspect]] = {}
        """By the identities of two kinds."""

    def of(self, run: Run | None) -> ComparedKind:
        if run is None:
            return NOTHING
        met = self._met.get(id(run.kind))
        if met is None:
            traits, lasting = _traits(run.kind), _lasting_rights(run.kind)
            counted = {each: trait for each, trait in zip(_TRAITS, traits, strict=True) if each not in self._ignored}
            if Aspect.DIRTY in self._ignored and Aspect.RIGHTS in counted:
                counted[Aspect.RIGHTS] = lasting
            writable = _is_writable(run.kind)
            home = lasting, *(trait for each, trait in counted.items() if each in _AT_HOME)
            number = self._numbers.setdefault(tuple(counted.values()), len(self._numbers) + 1)
            met = self._met[id(run.kind)] = (
                run.kind,
                ComparedKind(number, traits, lasting, home, run.attributes.dirty, writable),
            )
        return met[1]

    def same(self, before: Run, after: Run) -> bool:
        """Return whether two runs are sure to differ in nothing, without looking closely."""
        return (
            before.first == after.first
            and before.output == after.output
            and before.leaf_bytes == after.leaf_bytes
            and before.stride_bytes == after.stride_bytes
            and before.ipa == after.ipa
            and self._differ.get((id(before.kind), id(after.kind))) == NO_ASPECTS
        )

    def aspects(self, before: Run, after: Run, first: Input, end: int) -> frozenset[Aspect]:
        """Return in what two runs differ between `first` and `end`, which both cover."""
        was, now = self.of(before), self.of(after)
        pair = id(before.kind), id(after.kind)
        found = self._differ.get(pair)
        if found is None:
            found = self._differ[pair] = _differing(was, now)
        if before.leaf_bytes != after.leaf_bytes:
            found |= {Aspect.SIZE}
        if _moved(before, after, first, end - first):
            found |= {Aspect.OUTPUT}
        return found - self._ignored


def _traits(kind: LeafKind) -> tuple[object, ...]:
    given = kind.attributes
    by_use = kind.fault is not None and kind.fault.kind is FaultKind.ACCESS_FLAG and not given.accessed
    return (
        tuple(sorted(given.rights.items())),
        given.memory,
        given.shareability,
        given.accessed,
        given.dirty,
        given.is_global,
        given.contiguous,
        given.guarded,
        given.non_secure,
        kind.fault if kind.soft_invalid else None,
        None if by_use or kind.soft_invalid else kind.fault,
    )


def _is_writable(kind: LeafKind) -> bool:
    return any(allowed.write for allowed in kind.attributes.rights.values())


def _lasting_rights(kind: LeafKind) -> object:
    """Return what of the rights does not depend on the dirty state: who may read, and what the lowest may execute."""
    rights = kind.attributes.rights
    if kind.attributes.dirty is None or (kind.attributes.dirty and not _is_writable(kind)):
        return tuple(sorted(rights.items()))
    return tuple((el, rights[el].read) for el in sorted(rights)), rights[min(rights)].execute


def _differing(was: ComparedKind, now: ComparedKind) -> frozenset[Aspect]:
    """Return in what two kinds differ; rights that the dirty state explains are not said again."""
    pairs = zip(_TRAITS, was.traits, now.traits, strict=True)
    found = frozenset(aspect for aspect, one, other in pairs if one != other)
    if Aspect.DIRTY not in found or was.lasting != now.lasting:
        return found
    # What hardware marks may be written once it is dirty; software's bit is set beside permissions that are its own.
    against = (now.writable and not was.writable) if was.dirty else (was.writable and not now.writable)
    return found if against else found - {Aspect.RIGHTS}


def _moved(before: Run, after: Run, first: Input, size_bytes: int) -> bool:
    """Return whether any leaf of a piece leads elsewhere than it did; an IPA is compared only with an IPA."""
    if (before.output is None) != (after.output is None):
        return True
    led, leads = before.offset_of(first), after.offset_of(first)
    for one, other in ((before.output, after.output), (before.ipa, after.ipa)):
        if one is not None and other is not None and one + led != other + leads:
            return True
    repeating = [run.leaf_bytes for run in (before, after) if not run.stride_bytes]
    alike = len(repeating) == 2 and repeating[0] == repeating[1]
    return bool(repeating) and not alike and size_bytes > min(repeating)
