"""Words and walks as HTML: boxes of bits in a row, and a row for each table on the way."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from gdbtools.render.document import Role
from gdbtools.render.drawing import Box, Ladder, Rung, Strip


def strip(drawing: Strip) -> str:
    """Return a word as a row of boxes, which wraps where the page is narrow."""
    return f'<figure class="strip" aria-label="{escape(drawing.title)}">{boxes(drawing.boxes)}</figure>'


def boxes(given: Sequence[Box]) -> str:
    return f'<ol class="bits">{"".join(map(_box, given))}</ol>'


def _box(box: Box) -> str:
    names = ["quiet"] if box.quiet else []
    names += [f"tint-{box.tint}"] if box.tint is not None else []
    names += [box.role.name.lower()] if box.role is not Role.PLAIN else []
    position = str(box.high) if box.high == box.low else f"{box.high}:{box.low}"
    said = f"{box.name} [{position}] = {box.value}" + (f": {box.meaning}" if box.meaning else "")
    chosen = f' class="{" ".join(names)}"' if names else ""
    return (
        f'<li{chosen} style="--bits:{box.high - box.low + 1}" title="{escape(said)}">'
        f"<small>{position}</small><b>{escape(box.name)}</b><code>{escape(box.value)}</code></li>"
    )


def ladder(drawing: Ladder) -> str:
    """Return a walk: the address above, the tables in order, and what comes of it below."""
    parts = [f'<figure class="ladder" aria-label="{escape(drawing.input.title)}">']
    parts.append(f'<div class="end"><p>{escape(drawing.input.title)}</p>{boxes(drawing.input.boxes)}</div>')
    parts.append(f"<ol>{''.join(_rung(rung, tint) for tint, rung in enumerate(drawing.rungs))}</ol>")
    ending = f"<p>{escape(drawing.ending)}</p>"
    parts.append(f'<div class="end">{ending}{boxes(drawing.output.boxes) if drawing.output else ""}</div>')
    return "\n".join([*parts, "</figure>"])


def _rung(rung: Rung, tint: int) -> str:
    role = f" {rung.role.name.lower()}" if rung.role is not Role.PLAIN else ""
    share = 100 * (rung.index + 0.5) / rung.entries
    where = f"entry {rung.index} of {rung.entries}"
    return (
        f'<li class="rung tint-{tint}{role}">'
        f'<div class="table" title="{where}"><i style="top:{share:.2f}%"></i></div>'
        f'<div class="entry"><p><b>{escape(rung.title)}</b> <span>{where}</span> '
        f"<span>at <code>{escape(rung.at)}</code></span> <code>{escape(rung.word)}</code> "
        f"<em>{escape(rung.says).replace('-&gt;', '→')}</em></p>{boxes(rung.boxes)}</div></li>"
    )
