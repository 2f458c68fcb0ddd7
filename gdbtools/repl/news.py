"""What a prompt is told without having asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gdbtools.render.document import Document


@dataclass(frozen=True)
class Printed:
    """Text of GDB's or the guest's, as it comes: whole lines or pieces of them."""

    text: str
    is_error: bool = False


@dataclass(frozen=True)
class Progressed:
    """How much memory a scan has read so far."""

    reads: int
    size_bytes: int


@dataclass(frozen=True)
class Note:
    """Something that the prompt itself has to say: a verdict, a loss."""

    document: Document


News = Printed | Progressed | Note
Hear = Callable[[News], None]
