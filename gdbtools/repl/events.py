"""What a prompt is told without having asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gdbtools.children.debugger import Printed, Progressed
from gdbtools.render.document import Document


@dataclass(frozen=True)
class PromptNote:
    """Something that the prompt itself has to say: a verdict, a loss."""

    document: Document


@dataclass(frozen=True)
class ScanEnded:
    """A scan that nobody asked for is over, and nothing is said of it."""


News = Printed | Progressed | PromptNote | ScanEnded
Hear = Callable[[News], None]
