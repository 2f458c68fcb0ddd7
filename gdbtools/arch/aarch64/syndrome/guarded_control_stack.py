"""Guarded Control Stack exceptions: a return that does not match, an exception return under EXLOCK, a trapped store."""

from __future__ import annotations

from gdbtools.arch.aarch64.syndrome.encoding import Encoding, general
from gdbtools.bits import Field

_DATA_CHECK, _EXLOCK, _STORE = range(3)
_PROCEDURE_RETURN, _GCSPOPM, _RETAA, _RETAB, _GCSSS1, _GCSSS2, _GCSPOPCX, _GCSPOPX = 0, 1, 2, 3, 4, 5, 8, 9


class _GuardedControlStack(Encoding):
    ExType = Field(
        (23, 20),
        doc="kind",
        values={_DATA_CHECK: "GCS data check", _EXLOCK: "EXLOCK", _STORE: "trapped GCSSTR or GCSSTTR"},
    )


class GCSDataCheck(_GuardedControlStack):
    """ISS encoding for a Guarded Control Stack Data Check exception."""

    Rn = Field((9, 5), doc="register of the instruction")
    IT = Field(
        (4, 0),
        doc="instruction type",
        values={
            _PROCEDURE_RETURN: "procedure return without pointer authentication",
            _GCSPOPM: "GCSPOPM",
            _RETAA: "procedure return with pointer authentication, key A",
            _RETAB: "procedure return with pointer authentication, key B",
            _GCSSS1: "GCSSS1",
            _GCSSS2: "GCSSS2",
            _GCSPOPCX: "GCSPOPCX",
            _GCSPOPX: "GCSPOPX",
        },
    )

    def applies(self, field: Field) -> bool:
        if field is GCSDataCheck.Rn:
            return self.IT not in (_GCSSS2, _GCSPOPCX)
        return super().applies(field)

    @property
    def instruction(self) -> str:
        """A return to X30 is `RET` alone to an assembler."""
        named = {
            _PROCEDURE_RETURN: "RET" if self.Rn == 30 else f"RET {general(self.Rn)}",
            _RETAA: "RETAA",
            _RETAB: "RETAB",
            _GCSPOPM: "GCSPOPM" if self.Rn == 31 else f"GCSPOPM {general(self.Rn)}",
            _GCSSS1: f"GCSSS1 {general(self.Rn)}",
        }
        return named.get(self.IT, GCSDataCheck.IT.meaning(self.IT))


class GCSExceptionLock(_GuardedControlStack):
    """ISS encoding for a Guarded Control Stack exception of another kind: an EXLOCK exception has nothing to add."""


class GCSStore(_GuardedControlStack):
    """ISS encoding for a trapped GCSSTR or GCSSTTR."""

    Raddr = Field((14, 10), doc="register with the address")
    Rvalue = Field((9, 5), doc="register with the value")

    @property
    def instruction(self) -> str:
        address = "SP" if self.Raddr == 31 else general(self.Raddr)
        return f"GCSSTR or GCSSTTR {general(self.Rvalue)}, [{address}]"


def guarded_control_stack(value: int) -> type[_GuardedControlStack]:
    return {_DATA_CHECK: GCSDataCheck, _STORE: GCSStore}.get(_GuardedControlStack.ExType.of(value), GCSExceptionLock)
