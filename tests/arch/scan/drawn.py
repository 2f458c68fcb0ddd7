"""Formats and mappings as Hypothesis draws them, in one stage."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from tests.arch.scan.layouts import AF, Builder, Format

PROPERTY = settings(max_examples=40, suppress_health_check=list(HealthCheck))
SMALL_PROPERTY = settings(PROPERTY, max_examples=20)
INPUTS = {(12, ""): (25, 30, 32, 39, 40, 48), (12, "lpa2"): (30, 39, 48, 49, 52), (14, ""): (26, 36, 37, 47, 48),
          (14, "lpa2"): (36, 47, 48, 52), (16, ""): (29, 30, 42, 43, 48), (16, "lpa"): (42, 48, 52)}  # fmt: skip


@st.composite
def formats(draw: st.DrawFn) -> Format:
    granule, wide = draw(st.sampled_from(sorted(INPUTS)))
    outputs = (52, 48, 40) if wide else (48, 44, 40, 36)
    return Format(granule, wide, draw(st.sampled_from(INPUTS[granule, wide])), draw(st.sampled_from(outputs)),
                  draw(st.booleans()), draw(st.booleans()))  # fmt: skip


# AttrIndx, AP, AF, nG, DBM, Contiguous, PXN, UXN, GP, SH, and bits that are software's own and make no difference.
ATTRIBUTES = (
    AF,
    AF | 3 << 53,
    AF | 3 << 6 | 1 << 53,
    AF | 1 << 6 | 1 << 11 | 1 << 54,
    AF | 2 << 6 | 1 << 51,
    AF | 1 << 55 | 1 << 58,
    AF | 1 << 2 | 3 << 53,
    AF | 2 << 2,
    AF | 1 << 50 | 2 << 6,
    AF | 1 << 52,
    0,
    1 << 51 | 1 << 6,
    AF | 3 << 8,
    AF | 2 << 8,
)
LIMITS = (0, 0, 0, 1 << 59, 1 << 60, 1 << 61, 1 << 62, 3 << 59, 1 << 63)


@st.composite
def segments(draw: st.DrawFn, layout: Format) -> list[tuple[int, int, int, int, int, int]]:
    """Pieces of mapping as (place, level, leaves, output choice, attributes, limits); `filled` interprets them."""
    return draw(
        st.lists(
            st.tuples(
                st.integers(0, 9),
                st.sampled_from(layout.leaf_levels),
                st.sampled_from((1, 2, 3, 17, 40, 600)) if layout.granule == 12 else st.sampled_from((1, 2, 33)),
                st.integers(0, 7),
                st.sampled_from(ATTRIBUTES),
                st.sampled_from(LIMITS),
            ),
            min_size=1,
            max_size=6,
        )
    )


def clean(layout: Format, bits: int) -> int:
    """Leave SH out where the address is."""
    return bits & ~(3 << 8) if layout.wide == "lpa2" else bits


def filled(builder: Builder, drawn: list[tuple[int, int, int, int, int, int]], output: int = 0x8000_0000) -> Builder:
    layout = builder.layout
    end = layout.base + (1 << layout.input_bits)
    at = layout.base
    limit = min(1 << layout.output_bits, 1 << 48 if not layout.wide else 1 << 52)
    most = 1 << (52 if layout.wide else 48)
    for place, level, count, choice, bits, above in drawn:
        size = layout.size_of(level)
        # Where the last ended; the start, the middle, the end of the space; before a boundary of tables.
        boundary = 1 << min(layout.low_of(level) + layout.granule - 3, layout.input_bits - 1)
        middle = 1 << layout.input_bits - 1
        starts = {6: layout.base, 7: layout.base + middle - 3 * size, 8: end - count * size,
                  9: layout.base + boundary - size}  # fmt: skip
        at = max(starts.get(place, at), layout.base) + size - 1 & -size
        # Where the last went on; the same place again; the last addresses that there are; elsewhere; down, not up.
        outputs = {4: output - size, 5: limit - 2 * size, 6: 0x1234_0000_0000, 7: most - 2 * size}
        output = outputs.get(choice, output) + size - 1 & -size
        step = {3: 0, 4: -size}.get(choice, size)
        for _ in range(count):
            if 0 <= output < most and at < end:
                builder.map(at, output, level, clean(layout, bits), above)
            at += size
            output += step
        output = output if step else output + size
    return builder


@st.composite
def built(draw: st.DrawFn) -> Builder:
    layout = draw(formats())
    root_bytes = max(64, layout.levels[0][2] * 8)
    high = layout.output_bits == 52 and draw(st.booleans())
    place = (1 << 50 if high else 0) + 0x4000_0000
    root = place + root_bytes if root_bytes < 4096 and draw(st.booleans()) else place
    builder = Builder(layout, root, place + (1 << 20), junk=draw(st.sampled_from((0, 0x4000_0403))))
    return filled(builder, draw(segments(layout)))


def neighbours(builder: Builder) -> Iterator[int]:
    """Yield addresses beside what is mapped that are not."""
    layout, ordered = builder.layout, builder.in_order()
    last = layout.base + (1 << layout.input_bits) - 1
    for before, after in pairwise(ordered):
        if before.last + 1 != after.first:
            yield before.last + 1
            yield after.first - 1
    if ordered:
        yield from (at for at in (ordered[0].first - 1, ordered[-1].last + 1) if layout.base <= at <= last)
