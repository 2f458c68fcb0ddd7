"""Instructions, as far as a debugger of translation has to know them: their length, what they access, what fences."""

from __future__ import annotations

from typing import Final

SHORTEST_BYTES: Final = 2
LONGEST_BYTES: Final = 4
"""Of those that there are; longer ones are only foreseen."""
_LOW: Final = 0b11


def length(begins: bytes) -> int:
    """Return how many bytes the instruction has that begins so; without any byte, the fewest there are.

    Source: The RISC-V Instruction Set Manual, "Base Instruction-Length Encoding".
    """
    return LONGEST_BYTES if begins and begins[0] & _LOW == _LOW else SHORTEST_BYTES
