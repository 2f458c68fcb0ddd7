"""The manual's tables of what a leaf grants, written down once more, and runs taken apart to be held to them."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from gdbtools.arch.model import Fault, FaultKind, Hole, Run
from tests.arch.scan.layouts import AF, Format, Leaf
from tests.arch.scan.registers import WRITE_BACK

MEMORY = {0: "Normal Write-Back RW-allocate", 1: "Device-nGnRE", 2: "Normal Non-cacheable"}


def rights_of(bits: int, above: int) -> dict[int, str]:
    """The manual's table of AP, UXN and PXN with the tables' limits, written down once more."""
    ap, uxn, pxn = bits >> 6 & 3, bits >> 54 & 1, bits >> 53 & 1
    no_user, no_write = above >> 61 & 1, above >> 62 & 1
    uxn |= above >> 60 & 1
    pxn |= above >> 59 & 1
    write = not (ap & 2 or no_write)
    user = bool(ap & 1) and not no_user
    el0 = ("r" if user else "-") + ("w" if user and write else "-") + ("-" if uxn else "x")
    el1 = "r" + ("w" if write else "-") + ("-" if pxn or (user and write) else "x")
    return {0: el0, 1: el1}


def claim(run: Run) -> tuple[object, ...]:
    """What a run says of each of its leaves, but for the address and where it leads."""
    own = run.attributes
    rights = {el: str(each) for el, each in own.rights.items()}
    state = own.accessed, own.dirty, own.is_global, own.contiguous, own.guarded
    return run.leaf_bytes, run.kind.level, run.fault, rights, own.memory, own.shareability, state


def expected_claim(layout: Format, leaf: Leaf) -> tuple[object, ...]:
    bits = leaf.bits
    fault = None
    if leaf.output >> layout.output_bits:
        fault = Fault(FaultKind.ADDRESS_SIZE, 1, leaf.level)
    elif not bits & AF:
        fault = Fault(FaultKind.ACCESS_FLAG, 1, leaf.level)
    index = bits >> 2 & 7
    sh = 3 if layout.wide == "lpa2" else bits >> 8 & 3
    shareability = {0: "Non-shareable", 2: "Outer Shareable", 3: "Inner Shareable"}[sh if index == WRITE_BACK else 2]
    dirty = not bits >> 7 & 1 if bits >> 51 & 1 else None
    # "The Contiguous bit": the levels that a wide output address adds have no runs.
    contiguous = bool(bits >> 52 & 1) and leaf.level >= {12: 1, 14: 2, 16: 2}[layout.granule]
    state = bool(bits & AF), dirty, not bits >> 11 & 1, contiguous, bool(bits >> 50 & 1)
    return leaf.size, leaf.level, fault, rights_of(bits, leaf.above), MEMORY[index], shareability, state


def leaves_of(found: Iterable[Run | Hole]) -> list[tuple[int, int, tuple[object, ...]]]:
    """Expand runs leaf by leaf: where, to where, and what is said of it."""
    expanded = []
    for run in found:
        assert isinstance(run, Run), run
        assert run.output is not None
        assert run.size_bytes % run.leaf_bytes == 0
        assert run.stride_bytes in (0, run.leaf_bytes)
        said = claim(run)
        for offset in range(0, run.size_bytes, run.leaf_bytes):
            expanded.append((run.first + offset, run.output + run.offset_of(run.first + offset), said))
    return expanded


def joinable(one: Run, other: Run) -> bool:
    """Return whether two neighbours could be one run: of one kind, and one ramp or one repetition."""
    if claim(one) != claim(other) or one.last + 1 != other.first or None in (one.output, other.output):
        return False
    if one.ipa is not None and other.ipa is not None and one.ipa + one.size_bytes != other.ipa:
        return False
    single = [each.size_bytes == each.leaf_bytes for each in (one, other)]
    ramp = all(each.stride_bytes or alone for each, alone in zip((one, other), single, strict=True))
    flat = all(not each.stride_bytes or alone for each, alone in zip((one, other), single, strict=True))
    assert one.output is not None
    if ramp and one.output + one.size_bytes == other.output:
        return True
    return flat and one.ipa is None and one.output == other.output


def check_order_and_maximality(found: list[Run | Hole]) -> None:
    for before, after in pairwise(found):
        assert before.first + before.size_bytes <= after.first, (before, after)
        if isinstance(before, Run) and isinstance(after, Run):
            assert not joinable(before, after), (before, after)
