"""A page of ours as a parsed document: what tests look at instead of its text."""

from __future__ import annotations

import re
from xml.etree.ElementTree import Element

import html5lib


def parsed(page: str) -> Element:
    """Parse a page; anything that HTML does not allow fails."""
    return html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(page)


def text(element: Element) -> str:
    return " ".join("".join(element.itertext()).split())


def tables(element: Element) -> list[tuple[list[str], list[list[str]]]]:
    """Return the headers and rows of each table."""
    return [
        ([text(cell) for cell in table.iter("th")], [[text(cell) for cell in row.iter("td")] for row in body])
        for table in element.iter("table")
        if (body := table.find("tbody")) is not None
    ]


def section(element: Element, title: str) -> Element:
    """Return the section of that title."""
    for each in element.iter("section"):
        if any(text(child) == title for child in each if re.fullmatch("h[2-6]", child.tag)):
            return each
    raise AssertionError(f"no section {title!r}")


def loads(element: Element) -> list[str]:
    """Return everything that a browser would fetch for this page, or that leads out of it."""
    found = [
        value for each in element.iter() for name, value in each.attrib.items() if name in ("src", "srcset", "data")
    ]
    found += [each.get("href", "") for each in element.iter() if not each.get("href", "#").startswith("#")]
    styles = [each.text or "" for each in element.iter("style")] + [each.get("style", "") for each in element.iter()]
    found += [one for style in styles for one in re.findall(r"url\(|@import|@font-face", style)]
    scripts = "".join(each.text or "" for each in element.iter("script"))
    return found + re.findall(r"https?:|fetch\(|XMLHttpRequest|import\(|WebSocket", scripts)
