"""Outside GDB: the only folder that may import pygdbmi and prompt_toolkit."""

from __future__ import annotations

PROMPTS = {
    "attach": "Work at a prompt with a guest behind a gdbstub, through GDB",
    "run": "Start a QEMU and work with its guest; both end together",
    "open": "Work at a prompt with a dump",
}
"""The programs that give a prompt, with a line of help each."""
