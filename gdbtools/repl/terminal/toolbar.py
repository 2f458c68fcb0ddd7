"""The two lines below the prompt: what is being typed means, or the last verdict; and where the guest stands."""

from __future__ import annotations

from gdbtools.printable import visible
from gdbtools.render.columns import columns as taken
from gdbtools.repl.session import Doing, State

_GAP = "  "
_LEAST = 8
"""A regime's name in fewer columns says nothing."""
TIP = "Tab completes, Ctrl-R searches what was typed before, Ctrl-D leaves"


def toolbar(state: State, said: str, columns: int) -> str:
    """Return the toolbar's text, two lines of exactly `columns` columns; `said` is what is known of the line typed."""
    return "\n".join(_fitted(each, columns) for each in (said, standing(state, max(columns - 2, 8))))


def standing(state: State, room: int = 0) -> str:
    """Return where the guest stands: what matters most comes first, because the end is cut.

    pc is whole where it has room at all: the regime's name, which is longer and hardly ever another, is cut before it.
    """
    parts: list[str] = [state.doing.value]
    if state.doing is Doing.RUNNING:
        parts.append("Ctrl-C stops it; what is asked is answered as of the last stop")
        return _GAP.join(parts)
    if state.doing is Doing.BUSY:
        parts.append("Ctrl-C ends it")
        return _GAP.join(parts)
    if state.cpu is not None:
        parts.append(f"CPU {state.cpu}" + (f" of {state.cpus}" if state.cpus > 1 else ""))
    parts += [state.privilege] if state.privilege else []
    regime = state.regime
    if room and regime and state.place:
        left = room - taken(visible(_GAP.join([*parts, state.place]))) - len(_GAP)
        regime = regime if taken(regime) <= left else f"{regime[: left - 3].rstrip(' ,(')}..." if left > _LEAST else ""
    parts += [each for each in (regime, state.place) if each]
    return _GAP.join(parts)


def _fitted(text: str, columns: int) -> str:
    room = max(columns - 2, 8)
    text = visible(text)
    if taken(text) > room:
        while taken(text) > room - 3:
            text = text[:-1]
        text += "..."
    return f" {text}{' ' * (room - taken(text))} "
