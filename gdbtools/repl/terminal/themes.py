"""Colours: a dark and a light theme, and none where nobody wants them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gdbtools.render.text import DARK, LIGHT, Palette

# What does not depend on the background: everything that has one of its own.
_BAR = {
    "bottom-toolbar": "noreverse bg:ansibrightblack fg:ansiwhite",
    "bottom-toolbar.running": "bold",
    "completion-menu": "bg:ansibrightblack fg:ansiwhite",
    "completion-menu.completion.current": "bg:ansiwhite fg:ansiblack noreverse",
    "completion-menu.meta.completion": "bg:ansibrightblack fg:ansiwhite",
    "completion-menu.meta.completion.current": "bg:ansiwhite fg:ansiblack",
    "scrollbar.background": "bg:ansibrightblack",
    "scrollbar.button": "bg:ansiwhite",
}
_PLAIN_BAR = {
    "bottom-toolbar": "reverse",
    "completion-menu": "noreverse",
    "completion-menu.completion.current": "reverse",
    "completion-menu.meta.completion.current": "reverse",
}


@dataclass(frozen=True)
class Theme:
    """How answers look, by role, and the prompt, by prompt_toolkit's names; `colourless` leaves bold and such."""

    name: str
    palette: Palette
    style: Mapping[str, str]
    colourless: bool = False


def _theme(name: str, palette: Palette, prompt: str) -> Theme:
    return Theme(name, palette, {**_BAR, "prompt": prompt, "auto-suggestion": "fg:ansibrightblack"})


THEMES: Mapping[str, Theme] = {
    "dark": _theme("dark", DARK, "bold ansicyan"),
    "light": _theme("light", LIGHT, "bold ansiblue"),
    "none": Theme("none", {}, _PLAIN_BAR, colourless=True),
}
_LIGHT_BACKGROUNDS = ("7", "15")


def theme_for(wanted: str | None, environment: Mapping[str, str]) -> Theme:
    """Choose a theme: none under NO_COLOR or on a terminal without colours, else the one wanted.

    Else what COLORFGBG, which some terminals set, says of the background; else the dark one.
    """
    if environment.get("NO_COLOR") or environment.get("TERM", "") in ("", "dumb"):
        return THEMES["none"]
    if wanted is not None:
        return THEMES[wanted]
    background = environment.get("COLORFGBG", "").rpartition(";")[2]
    return THEMES["light" if background in _LIGHT_BACKGROUNDS else "dark"]
