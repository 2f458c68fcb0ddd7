"""Documents with nothing in them that would act on a terminal: the last step before they are written."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from gdbtools.printable import visible
from gdbtools.render.document import Document

T = TypeVar("T")


def safe(document: Document) -> Document:
    """Return a document whose every string is drawn as it is, whoever wrote it; the same one where that is so."""
    return _safe(document)


def _safe(value: T) -> T:
    found: Any = value
    if isinstance(value, list | tuple) and _is_printable(value):
        return value
    if isinstance(value, str):
        found = value if value.isprintable() else visible(value)
    elif isinstance(value, enum.Enum) or value is None or isinstance(value, int | float | frozenset):
        return value
    elif callable(value):
        found = partial(_made_safe, value)
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


def _made_safe(make: Callable[[], T]) -> T:
    """Return what is made only now."""
    return _safe(make())


def _is_printable(texts: Sequence[Any]) -> bool:
    """Return whether these are texts and nothing else, and none has to be changed: as most rows of long tables are."""
    try:
        return "".join(texts).isprintable()
    except TypeError:
        return False
