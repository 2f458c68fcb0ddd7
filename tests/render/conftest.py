"""A real browser for the pages: Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import BROWSER


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium; it needs no network, and gets none.

    Not for longer than a module: while Playwright is there its event loop runs, and no other test can have one.
    """
    program, install = BROWSER
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"{program} is not installed; install it: {install}")
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install '.[dev]'")
    # Chromium's own sandbox refuses to work for root.
    arguments = ["--no-sandbox"] if os.getuid() == 0 else []
    with api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=arguments)
        yield opened
        opened.close()
