"""VMCOREINFO: what a Linux kernel wrote down about itself, as lines of `KEY=VALUE`.

It is in the note of that name of an ELF core (QEMU's needs `-device vmcoreinfo`), in a kdump's header, and in a page
of the kernel's own memory.
"""

from __future__ import annotations

from collections.abc import Mapping

NOTE_NAME = b"VMCOREINFO"
FIRST_KEY = b"OSRELEASE="
"""What it begins with, at the start of its page."""


def parse(text: bytes) -> Mapping[str, str]:
    """Return its values by their keys, such as `NUMBER(VA_BITS)`; what is no `KEY=VALUE` is left out."""
    lines = text.split(b"\0", 1)[0].decode("ascii", "replace").splitlines()
    pairs = (line.partition("=") for line in lines)
    return {key: value for key, equals, value in pairs if key and equals}
