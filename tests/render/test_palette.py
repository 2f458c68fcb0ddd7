"""The colours of the pages: text can be read on what it stands on, and permissions be told apart by everybody."""

from __future__ import annotations

import re
from itertools import combinations
from pathlib import Path

import pytest

from gdbtools.render import html

CSS = Path(html.__file__).with_name("page.css").read_text()
LIGHT = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", CSS.partition("@media")[0]))
DARK = LIGHT | dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", CSS.partition("dark) {")[2].partition("\n}")[0]))
TONES = ("read", "write", "execute", "write-execute", "execute-only", "write-only", "shadow-stack", "nothing")
TINTS = tuple(f"tint-{number}" for number in range(6))

Vector = tuple[float, float, float]
# Machado, Oliveira and Fernandes, "A Physiologically-based Model for Simulation of Color Vision Deficiency" (2009),
# table 1, severity 1.0; on linear RGB.
SIGHTS: dict[str, tuple[Vector, Vector, Vector]] = {
    "all cones": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "no red cones": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "no green cones": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    "no blue cones": (
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ),
}


def linear(colour: str) -> Vector:
    parts = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return red, green, blue


def contrast(one: str, other: str) -> float:
    """The contrast ratio of WCAG 2."""
    light, dark = sorted((luminance(linear(each)) for each in (one, other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(rgb: Vector) -> float:
    return 0.2126 * rgb[0] + 0.7152 * rgb[1] + 0.0722 * rgb[2]


def lab(rgb: Vector) -> Vector:
    red, green, blue = rgb
    x = (0.4124 * red + 0.3576 * green + 0.1805 * blue) / 0.9505
    y = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    z = (0.0193 * red + 0.1192 * green + 0.9505 * blue) / 1.089
    fx, fy, fz = (max(each, 0) ** (1 / 3) if each > 0.008856 else 7.787 * max(each, 0) + 16 / 116 for each in (x, y, z))
    return 116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)


def seen(colour: str, sight: str) -> Vector:
    rgb = linear(colour)
    red, green, blue = (sum(part * each for part, each in zip(row, rgb, strict=True)) for row in SIGHTS[sight])
    return lab((red, green, blue))


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_text_stands_out_from_what_it_is_on(palette: dict[str, str]) -> None:
    for text in ("ink", "quiet", "good", "bad", "warning", "name"):
        for paper in ("paper", "card"):
            assert contrast(palette[text], palette[paper]) >= 4.5, (text, paper)
    assert contrast(palette["bad"], palette["bad-paper"]) >= 4.5
    assert contrast(palette["quiet"], palette["bad-paper"]) >= 4
    for paper in (*TINTS, "nothing"):
        assert contrast(palette["ink"], palette[paper]) >= 7, paper
    for tone in TONES[:-1]:
        assert contrast(palette["on-tone"], palette[tone]) >= 4.5, tone


@pytest.mark.parametrize("sight", SIGHTS)
@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_permissions_can_be_told_apart_by_whoever_looks(palette: dict[str, str], sight: str) -> None:
    for one, other in combinations(TONES, 2):
        apart = sum((a - b) ** 2 for a, b in zip(seen(palette[one], sight), seen(palette[other], sight), strict=True))
        assert apart**0.5 > 12, (one, other)
