"""The log of a service: one JSON object a fault, written by `service --log` and read by `trace`."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

from gdbtools.addresses import VA
from gdbtools.errors import Malformed, Unavailable
from gdbtools.machine.dumps.files import one_line, open_file
from gdbtools.render.json import hexadecimal, optional_hexadecimal
from gdbtools.repair.service import Logged

if TYPE_CHECKING:
    from typing_extensions import Self


LEVELS = range(-2, 8)
"""The levels of tables that there may be, of any architecture: the schema's."""
LONGEST_SECONDS = 1e9
"""Thirty years: JSON's numbers have no end, and what is written of them has."""
LINE_BYTES = 1 << 16
"""How much of a line is read: many times what a fault takes."""


class FaultLog:
    """A log that is being written; leave the `with` block and it is closed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with one_line(str(path), "written"):
            # Line by line: that the disk is full is to be heard at the fault that is not written.
            self._file: TextIO = path.open("w", encoding="utf-8", buffering=1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            # What could not be written was said when it was.
            self._file.close()

    def write(self, fault: Logged) -> None:
        """Write one fault more; raises `Unavailable` where that cannot be done."""
        record = {
            "time": round(fault.time, 6),
            "seconds": round(fault.seconds, 6),
            "cpu": fault.cpu,
            "pc": hexadecimal(fault.pc),
            "symbol": fault.symbol,
            "va": hexadecimal(fault.va),
            "access": fault.access,
            "level": fault.level,
            "verdict": fault.verdict,
            "before": optional_hexadecimal(fault.before),
            "after": optional_hexadecimal(fault.after),
            "around": fault.around,
        }
        try:
            self._file.write(json.dumps(record) + "\n")
        except OSError as error:
            raise Unavailable(f"the log {self._path} cannot be written ({error.strerror or error})") from None


def read_log(path: Path) -> Iterator[Logged]:
    """Yield the faults of a log in its order; a line that is none raises `Malformed` with its number."""
    with one_line(str(path)), open_file(path) as file:
        for number, line in enumerate(iter(partial(file.readline, LINE_BYTES), b""), 1):
            try:
                yield _fault(json.loads(line))
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
                raise Malformed(f"{path} line {number} is no fault of a log that `mmu service --log` wrote") from None


def _fault(said: dict[str, str]) -> Logged:
    return Logged(
        _seconds(said["time"]),
        _seconds(said["seconds"]),
        _unsigned(said["cpu"]),
        _address(said["pc"]),
        str(said["symbol"]),
        VA(_address(said["va"])),
        str(said["access"]),
        None if said["level"] is None else _level(said["level"]),
        str(said["verdict"]),
        _optional(said["before"]),
        _optional(said["after"]),
        _unsigned(said["around"]),
    )


def _optional(word: str | None) -> int | None:
    return None if word is None else _address(word)


def _seconds(said: str) -> float:
    value = float(said)
    if not math.isfinite(value) or not 0 <= value < LONGEST_SECONDS:
        raise ValueError(said)
    return value


def _level(said: str) -> int:
    value = int(said)
    if value not in LEVELS:
        raise ValueError(said)
    return value


def _address(word: str) -> int:
    return _unsigned(int(word, 0))


def _unsigned(said: str | int) -> int:
    value = int(said)
    if not 0 <= value < 1 << 64:
        raise ValueError(said)
    return value
