"""An address map as HTML: a bar for each stretch of addresses, to scale, and the gaps between them in words."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import log2

from gdbtools.render.drawing import AddressMap, Band, Tone
from gdbtools.render.scale import ScaleStretch, stretches
from gdbtools.wording import amount, hyphenated

BANDS = 4000
"""How many bands are drawn at most: past that, small neighbours are drawn as the largest of them."""
SHORTEST = 6
"""A stretch of 2^SHORTEST bytes would have a bar of no length: pages still have one that can be seen."""


def address_map(drawing: AddressMap) -> str:
    """Return the whole range with a mark for each stretch, then the stretches and the gaps between them, to scale."""
    found = stretches(_fewer(drawing.bands))
    parts = [f'<figure class="map" aria-label="{escape(drawing.title)}">', _legend(drawing), _whole(drawing, found)]
    longest = max((each.size_bytes for each in found), default=0)
    last: ScaleStretch | None = None
    for each in found:
        if last is not None:
            gap = each.first - last.first - last.size_bytes
            parts.append(f'<p class="gap">{amount(gap)} not mapped</p>')
        parts.append(_stretch(each, drawing.lanes, longest))
        last = each
    return "\n".join([*parts, "</figure>"])


def _fewer(bands: Sequence[Band]) -> Sequence[Band]:
    """Join neighbours, the smallest first, until there are few enough to draw."""
    bands, leaf = list(bands), 1 << 13
    while len(bands) > BANDS:
        joined: list[Band] = []
        for band in bands:
            last = joined[-1] if joined else None
            if (
                last is not None
                and band.first - last.first - last.size_bytes < leaf
                and (band.size_bytes + last.size_bytes <= leaf)
            ):
                size = band.first + band.size_bytes - last.first
                large = max(last, band, key=lambda each: each.size_bytes)
                title = f"{amount(size)} in which the mappings are too many to be drawn"
                joined[-1] = Band(last.first, size, large.lanes, large.shaded, title)
            else:
                joined.append(band)
        bands, leaf = joined, leaf << 1
    return bands


def _legend(drawing: AddressMap) -> str:
    tones = {lane.tone for band in drawing.bands for lane in band.lanes}
    order = [tone for tone in Tone if tone in tones]
    items = "".join(f'<li><i class="{_tone(tone)}"></i><span>{tone.value}</span></li>' for tone in order)
    if any(band.shaded for band in drawing.bands):
        items += f'<li><i class="t-read shaded"></i>{escape(drawing.shade)}</li>'
    return f'<ul class="legend">{items}</ul>'


def _tone(tone: Tone) -> str:
    return f"t-{hyphenated(tone)}"


def _whole(drawing: AddressMap, found: Sequence[ScaleStretch]) -> str:
    size = drawing.last - drawing.first + 1
    marks = "".join(
        f'<i style="left:{_share(each.first - drawing.first, size)};width:{_share(each.size_bytes, size)}"></i>'
        for each in found
    )
    said = f"all {amount(size)}: where something is mapped"
    return (
        f'<div class="whole"><p><code>{drawing.first:#018x}</code><span>{said}</span>'
        f'<code>{drawing.last:#018x}</code></p><div class="marks">{marks}</div></div>'
    )


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.9g}%"


def _stretch(stretch: ScaleStretch, lanes: Sequence[str], longest: int) -> str:
    """Return a bar to a scale of its own; a longer one is of more, in proportion to the logarithm."""
    first, size = stretch.first, stretch.size_bytes
    names = "".join(f"<span>{escape(lane)}</span>" for lane in lanes)
    bands = "".join(_band(band, first, size) for band in stretch.bands)
    said = f"{amount(size)} from {first:#x}: {len(stretch.bands)} bands"
    share = max(log2(size) - SHORTEST, 1) / max(log2(longest) - SHORTEST, 1)
    return (
        f'<div class="stretch" data-first="{first:#x}" data-size="{size}" style="--lanes:{len(lanes)}">'
        f'<p class="ends"><code>{first:#018x}</code><code>{first + size - 1:#018x}</code></p>'
        f'<div class="lanes">{names}</div><div class="row">'
        f'<div class="bar" role="img" aria-label="{escape(said)}" style="--share:{share:.3f}">'
        f'<div class="bands">{bands}</div></div><p class="size">{amount(size)}</p></div></div>'
    )


def _band(band: Band, first: int, size: int) -> str:
    lanes = "".join(f'<b class="{_tone(lane.tone)}"><span>{escape(lane.text)}</span></b>' for lane in band.lanes)
    shaded = " shaded" if band.shaded else ""
    place = f"left:{_share(band.first - first, size)};width:{_share(band.size_bytes, size)}"
    return f'<i class="band{shaded}" style="{place}" title="{escape(band.title)}">{lanes}</i>'
