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


News = Printed | Progressed | PromptNote
Hear = Callable[[News], None]
