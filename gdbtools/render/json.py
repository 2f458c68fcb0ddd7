"""Answers as JSON, one object a line: the contract that scripts rely on."""

from __future__ import annotations

import json
from collections.abc import Sequence

from gdbtools import __version__

SCHEMA = "gdbtools/1"

JsonObject = dict[str, object]


def hexadecimal(value: int) -> str:
    """Return an address, a register or a descriptor: JSON numbers above 2^53 are not safe."""
    return f"{value:#018x}"


def optional_hexadecimal(value: int | None) -> str | None:
    """Return `hexadecimal(value)`, or null."""
    return None if value is None else hexadecimal(value)


def json_line(command: str, result: JsonObject, assumed: Sequence[str] = ()) -> str:
    """Return one answer as one line, with the version that gave it.

    `assumed` is what the source did not say, there only if something was.
    """
    supposing = {"assumed": list(assumed)} if assumed else {}
    said = {"schema": SCHEMA, "version": __version__, "command": command, **supposing, "result": result}
    # The one control that JSON takes as it is.
    return json.dumps(said).replace("\x7f", "\\u007f")
