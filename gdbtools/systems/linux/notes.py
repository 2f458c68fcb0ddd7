"""Numbers out of VMCOREINFO, the text that a Linux kernel writes about itself for crash dumps."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gdbtools.addresses import PA, VA
from gdbtools.errors import GIVE_REGISTERS, Unavailable


def number(info: Mapping[str, str], key: str, base: int = 0) -> int:
    """Return the number of a key, such as `NUMBER(VA_BITS)`; raise `Unavailable` where there is none."""
    try:
        return int(info[key], base)
    except KeyError:
        raise Unavailable(f"VMCOREINFO has no {key}; {GIVE_REGISTERS}") from None
    except ValueError:
        raise Unavailable(f"VMCOREINFO has {key}={info[key]!r}; {GIVE_REGISTERS}") from None


def release_of(text: str) -> tuple[int, ...]:
    """Return the first two numbers of a kernel's release; what is none is older than any."""
    return tuple(int(part) for part in text.split("-")[0].split(".")[:2] if part.isdigit())


def placed(info: Mapping[str, str], place: Callable[[int], int]) -> Mapping[VA, PA]:
    """Return where the kernel's text begins and, by how far its image was moved, where that is in memory."""
    if "SYMBOL(_stext)" not in info:
        return {}
    text = number(info, "SYMBOL(_stext)", 16)
    return {VA(text): PA(place(text))}
