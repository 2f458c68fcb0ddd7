"""How many columns text takes on a screen: a wide character takes two, a combining one none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def columns(text: str) -> int:
    """Return how many columns text takes, as terminals count them (Unicode Standard Annex 11)."""
    if text.isascii():
        return len(text)
    from wcwidth import wcswidth  # most answers are ASCII, and it takes a while to import

    found = int(wcswidth(text))
    return found if found >= 0 else len(text)


def lengths(texts: Sequence[str]) -> list[int]:
    """Return how many columns each text takes; that they are as many as characters is seen of all at once."""
    return [*map(len if "".join(texts).isascii() else columns, texts)]


def filled(text: str, width: int) -> list[str]:
    """Return text in lines of at most so many columns, broken between words only."""
    lines = list(_lines(text.split(), width))
    return lines or [""]


def _lines(words: list[str], width: int) -> Iterator[str]:
    line = ""
    for word in words:
        if line and columns(line) + 1 + columns(word) > width:
            yield line
            line = word
        else:
            line = f"{line} {word}" if line else word
    if line:
        yield line
