"""How the answer of `redact` looks: as that of `capture` does."""

from __future__ import annotations

from gdbtools.commands.capture.view import record, view

__all__ = ["record", "view"]
