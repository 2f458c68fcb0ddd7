"""Documents with nothing in them that would act on a terminal: the last step before they are written."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Sequence
from typing import Any, TypeVar

from gdbtools.printable import visible
from gdbtools.render.document import Document

T = TypeVar("T")


def safe(document: Document) -> Document:
    """Return a document whose every string is drawn as it is, whoever wrote it; the same one where that is so."""
    return _safe(document)


def _safe(value: T) -> T:
    found: Any = value
    if isinstance(value, str):
        found = value if value.isprintable() else visible(value)
    elif isinstance(value, enum.Enum) or value is None or isinstance(value, int | float | frozenset):
        return value
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = [(field.name, getattr(value, field.name)) for field in dataclasses.fields(value)]
        changed = {name: new for name, old in fields if (new := _safe(old)) is not old}
        found = dataclasses.replace(value, **changed) if changed else value
    elif isinstance(value, Sequence):
        parts = [_safe(each) for each in value]
        if any(new is not old for new, old in zip(parts, value, strict=True)):
            found = tuple(parts) if isinstance(value, tuple) else parts
    kept: T = found
    return kept
