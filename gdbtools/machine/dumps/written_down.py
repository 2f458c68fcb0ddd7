"""Registers that somebody wrote down, as `--registers` takes them.

A JSON object of their names to hex strings, or what `info registers` printed: of that, whatever has another name than a
register that is known is left out.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gdbtools import numbers
from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.capabilities import Architecture
from gdbtools.arch.identity import Identity
from gdbtools.arch.model import Assumption, Derived, Privilege
from gdbtools.errors import Unavailable, UsageError
from gdbtools.machine.dumps.assumptions import assumptions
from gdbtools.machine.dumps.files import read_small
from gdbtools.machine.dumps.pasted import pasted
from gdbtools.machine.layers import FixedRegisters, Overridden
from gdbtools.machine.model import Registers
from gdbtools.spelling import nearest

ASSUMED: Final = "assumed"
"""Under this name stands a list of what nobody read, in words: `find-roots` writes one."""


def read_registers(path: Path, architecture: Architecture, own: Registers) -> Derived:
    """Return the registers of a file, with what follows from them where the source's `own` do not say otherwise.

    Names may be in any case; those without a level are of the one that the CPU is at.  Raises `UsageError` for a name
    that no register has and for what is no value, and names the entry.
    """
    found = _entries(path)
    entries, assumed = found.values, found.assumed
    if found.pasted:
        entries = _of_this_architecture(entries, architecture)
    values: dict[str, int] = {}
    said: list[Assumption] = []
    level = _level(path, entries, architecture, own)
    for written, value in entries.items():
        name = _name(path, written, architecture, own, level)
        literal = _value(path, written, value)
        # QEMU's stub has fpcr and FPCR: what is said twice alike is said.
        if values.get(name, literal.value) != literal.value:
            raise UsageError(f"{path} has {name} twice, with other values, once as {written}; write it once")
        values[name] = literal.value
        # How a value was read is no assumption about the register: it is written down.
        said += [Assumption("", f"{written}: {literal.said}")] if literal.said else []
        if written.lower() != name.lower():
            said.append(Assumption("", f"{written} is taken for {name}"))
    implied = architecture.implied(Overridden(own, FixedRegisters(values, str(path))).read, values)
    return Derived({**implied.values, **values}, (*assumed, *said, *implied.assumed))


def written_names(path: Path) -> Collection[str]:
    """Return the names in a file of registers, whatever they are: they tell whose they are."""
    return _entries(path).values.keys()


def written_bits(path: Path) -> int:
    """Return how many bits the largest value in a file of registers has: narrow registers hold no wide ones."""
    values = _entries(path).values.items()
    return max((_value(path, name, value).value.bit_length() for name, value in values), default=0)


@dataclass(frozen=True)
class _Written:
    """What a file has for each name, what it says was assumed, and whether it is what `info registers` printed."""

    values: Mapping[str, Any]
    assumed: Sequence[Assumption] = ()
    pasted: bool = False


def _entries(path: Path) -> _Written:
    text = read_small(path)
    try:
        entries = json.loads(text)
        assumed = assumptions(entries.pop(ASSUMED, []))
    except (ValueError, TypeError, AttributeError, RecursionError):
        narrow = {name for identity in ARCHITECTURES.identities for name in identity.monitor_names}
        found = pasted(text.decode(errors="replace"), narrow)
        if not found:
            like = _like(ARCHITECTURES.identities[0])
            raise UsageError(
                f"{path} is not a JSON object of register names to hex strings, like {like}, and not what "
                "`info registers` prints"
            ) from None
        return _Written(found, pasted=True)
    return _Written(entries, assumed)


def _of_this_architecture(found: Mapping[str, Any], architecture: Architecture) -> Mapping[str, Any]:
    """Return, of what was pasted, the registers that are known, by the architecture's own names for them."""
    identity = architecture.identity
    theirs = {**{stubs: own for own, stubs in identity.stub_names.items()}, **identity.monitor_names}
    named: dict[str, Any] = {}
    for name, value in found.items():
        own = theirs.get(name) or architecture.register_name(name, architecture.supervisor)
        # A name without its level would be that of the CPU's, and need not be meant so.
        if own is not None and (name in theirs or own.lower() == name.lower()):
            named.setdefault(own, value)
    return named


def _like(identity: Identity) -> str:
    return json.dumps(dict([identity.examples.root]))


def _level(path: Path, entries: Mapping[str, Any], architecture: Architecture, own: Registers) -> Privilege:
    """Return the level whose registers a name without one means: the CPU's, or the lowest that takes exceptions."""
    states: dict[str, int] = {}
    for written, value in entries.items():
        name = architecture.register_name(written, architecture.supervisor)
        if name is not None and name in architecture.general:
            states[name] = _value(path, written, value).value
    try:
        own_level = architecture.privilege(Overridden(own, FixedRegisters(states, str(path))).read)
        return max(own_level, architecture.supervisor)
    except Unavailable:
        return architecture.supervisor


def _name(path: Path, written: str, architecture: Architecture, own: Registers, level: Privilege) -> str:
    name = architecture.register_name(written, level)
    if name is not None:
        return name
    if written in own.names():
        return written
    # Those that translation asks for come first: they are what one writes down.
    ending = architecture.suffix(level)
    near = nearest(written, (*architecture.principal, *architecture.general), ending)
    near = near or nearest(written, architecture.register_names(), ending)
    advice = (
        f"did you mean {near}?" if near else f"write names as the manual has them, like {_like(architecture.identity)}"
    )
    raise UsageError(f"{path}: {written!r} is no register of {architecture.name}; {advice}")


def _value(path: Path, written: str, value: object) -> numbers.Literal:
    try:
        if isinstance(value, str):
            return numbers.word(value.strip())
        if isinstance(value, int) and not isinstance(value, bool):
            read = numbers.number(str(value))
            return numbers.Literal(read, f"{value} without quotes is read as decimal: {read:#x}" if read > 9 else "")
    except UsageError as error:
        raise UsageError(f"{path}: {written}: {error}") from None
    raise UsageError(f'{path}: {written} has {json.dumps(value)[:40]}, which is no value; write a string like "0x10"')
