"""What makes a value doubtful as a whole syndrome: an ISS without its class, a digit too many.

Xen prints the ISS of a guest's exception alone (`Syndrome=0x...`); who copies a syndrome by hand doubles a digit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from gdbtools.arch.aarch64.syndrome.encoding import Encoding, ESR_ELx
from gdbtools.arch.aarch64.syndrome.exception_class import EC
from gdbtools.arch.model import Fault

DIGITS: Final = 8
"""Of a syndrome without an ISS2, as logs print it."""
_ABORTS: Final = (
    EC.DATA_ABORT_LOWER_EL,
    EC.DATA_ABORT_SAME_EL,
    EC.INSTRUCTION_ABORT_LOWER_EL,
    EC.INSTRUCTION_ABORT_SAME_EL,
)
Layout = Callable[[int], Encoding]


def doubts(word: Encoding, layout: Layout) -> tuple[str, ...]:
    """Return what a value is more likely to be; `layout` takes any value for the syndrome that it is."""
    if not word.EC and ESR_ELx.ISS.of(word):
        return (_without_class(word),)
    return tuple(_digit_too_many(word, layout))


def _without_class(word: Encoding) -> str:
    return (
        f"class 0 has no ISS, and this is {ESR_ELx.ISS.of(word):#x}: perhaps an ISS without its class, as Xen prints "
        f"it; `esr {int(word):#x} --class 0x24` reads it as a guest's Data Abort, 0x20 as an Instruction Abort"
    )


def _digit_too_many(word: Encoding, layout: Layout) -> Iterator[str]:
    text = f"{int(word):x}"
    above = sum(each.field.mask for each in word.decoded() if each.applicable)
    if len(text) <= DIGITS or not (int(word) & ~above) >> 32:
        return
    said = f"bits above 31 are set that a syndrome of class {word.EC:#x} does not have"
    if len(text) == DIGITS + 1:
        doubled = [text[:at] + text[at + 1 :] for at in range(1, len(text)) if text[at] == text[at - 1]]
        shorter = [each for each in dict.fromkeys(doubled) if _is_abort(layout(int(each, 16)))]
        if shorter:
            said += f", and it has nine digits: perhaps {' or '.join(f'0x{each}' for each in shorter)} was meant"
    yield said


def _is_abort(word: Encoding) -> bool:
    fault: Fault | None = word.fault
    return word.EC in _ABORTS and bool(word.IL) and fault is not None and not word.reserved
