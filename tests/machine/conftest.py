"""What the tests of dumps share."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.machine.dumps.hostile import REGISTERS


@pytest.fixture
def made(tmp_path: Path) -> Callable[[bytes], str]:
    """Write a file, and give its name: which says nothing about what is in it."""

    def make(data: bytes, name: str = "file.txt") -> str:
        (tmp_path / name).write_bytes(data)
        return str(tmp_path / name)

    return make


@pytest.fixture
def registers(tmp_path: Path) -> str:
    path = tmp_path / "registers.json"
    path.write_text(json.dumps({name: hex(value) for name, value in REGISTERS.items()}))
    return str(path)
