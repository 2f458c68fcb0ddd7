"""Expressions in GDB: the user's own, by GDB, and those of others, which are read here and have no effects."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Final

import gdb

from gdbtools.arch import ARCHITECTURES
from gdbtools.errors import Refused, UsageError
from gdbtools.live.stub.registers import unsigned

LIKE: Final = "give an address, like $pc, &symbol or 0x1000"
_ASSIGNS: Final = re.compile(r"\+\+|--|(?:<<|>>)=|(?<![=!<>])=(?!=)")
_LITERALS: Final = re.compile(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'')
_NAME: Final = re.compile(r"[A-Za-z_]\w*(?:::[A-Za-z_]\w*)*", re.ASCII)
_REGISTER: Final = re.compile(r"\$([A-Za-z_]\w*)")
MAY_CALL: Final = "may-call-functions"
"""GDB's setting that lets an expression run functions of the guest."""


def evaluate(text: str) -> int:
    """Read an expression as GDB does, as an unsigned 64-bit integer; raise `Refused` for one that changes the guest.

    That is one that assigns, or calls a function of the guest: to ask for an address is to read.  GDB's own functions
    are as GDB has them, `$_shell` too: the expression is its user's.
    """
    if _ASSIGNS.search(_LITERALS.sub("", text)):
        raise Refused(f"{text} assigns, and an address is only read; assign before, by GDB's `set var`")
    try:
        # Only where it can matter: a client of MI is told of each setting that changes.
        with _no_calls() if "(" in text else nullcontext():
            value = gdb.parse_and_eval(_REGISTER.sub(_as_the_stub_has_it, text))
        if value.type.code == gdb.TYPE_CODE_VOID:
            raise UsageError(f"{text} has no value here; {LIKE}")
        if value.type.strip_typedefs().code == gdb.TYPE_CODE_FLT:
            raise UsageError(f"{text} is a floating-point number; give an address, like $pc, &symbol or 0x40000000")
        if value.type.code in (gdb.TYPE_CODE_FUNC, gdb.TYPE_CODE_ARRAY, gdb.TYPE_CODE_STRUCT):
            return unsigned(value.address or value)
        if value.type.code == gdb.TYPE_CODE_PTR or value.type.sizeof <= 8:
            # As C converts to a 64-bit address: a smaller signed value is extended.
            return int(value) & (1 << 64) - 1
    except (gdb.error, ValueError, TypeError) as error:
        if MAY_CALL in str(error):
            raise Refused(
                f"{text} calls a function of the guest, and an address is only read; call it before"
            ) from None
        raise UsageError(f"{text}: {str(error).rstrip('.')}; {LIKE}") from None
    raise UsageError(f"{text} is not an address: its value has {value.type.sizeof} bytes")


def _as_the_stub_has_it(found: re.Match[str]) -> str:
    """Write a register as the stub does, in any case or by the architecture's name: GDB takes another for a void."""
    if gdb.parse_and_eval(found[0]).type.code != gdb.TYPE_CODE_VOID:
        return found[0]
    try:
        there = {each.name.lower(): each.name for each in gdb.newest_frame().architecture().registers()}
    except gdb.error:
        there = {}
    wanted = found[1].lower()
    own = {name.lower(): own for name, own in ARCHITECTURES.stub_names.items()}.get(wanted, wanted)
    return f"${there.get(wanted) or there.get(own.lower(), found[1])}"


@contextmanager
def _no_calls() -> Iterator[None]:
    allowed = gdb.parameter(MAY_CALL)
    gdb.execute(f"set {MAY_CALL} off", to_string=True)
    try:
        yield
    finally:
        if allowed:
            gdb.execute(f"set {MAY_CALL} on", to_string=True)


class GdbSymbols(Mapping[str, int]):
    """The symbols that GDB knows, as their addresses; looking one up has no effects, whatever the name is."""

    def __getitem__(self, name: str) -> int:
        if not _NAME.fullmatch(name):
            raise KeyError(name)
        try:
            return unsigned(gdb.parse_and_eval(f"&{name}"))
        except (gdb.error, ValueError, TypeError):
            raise KeyError(name) from None

    def __iter__(self) -> Iterator[str]:
        """Return none: GDB does not list them."""
        return iter(())

    def __len__(self) -> int:
        return 0
