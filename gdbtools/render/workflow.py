"""Messages of a GitHub workflow: what a line of its log has to look like to become a remark beside the code.

Source: GitHub, "Workflow commands for GitHub Actions", "Setting an error message".
"""

from __future__ import annotations

from collections.abc import Mapping


def message(level: str, text: str, properties: Mapping[str, object]) -> str:
    """Return a message, one line; `level` is `error`, `warning` or `notice`, and empty properties are left out."""
    given = ",".join(f"{name}={_property(str(value))}" for name, value in properties.items() if value)
    return f"::{level}{f' {given}' if given else ''}::{_escaped(text)}\n"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")
