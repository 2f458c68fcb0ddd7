"""What the tests need from the outside: found once, named in the header, and skipped loudly where it is missing."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from gdbtools.children.processes import find_qemu
from gdbtools.errors import Unavailable
from tests import schema
from tests.said import SAID

GDBS = {
    "gdb-multiarch": ("gdb-multiarch", "apt-get install gdb-multiarch"),
    "gdb-for-pwndbg": (str(Path(sys.prefix) / "bin" / "gdb"), "pip install '.[dev]' into the environment of pytest"),
}
"""The two: one with the system's Python, one with that of the virtual environment."""
# What is shown is shown as on a terminal, unless a test says otherwise.
os.environ["COLUMNS"] = "80"
# No clock is asserted.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")
FULL_SECONDS = 2 * 60 * 60
FOR_THE_END: list[str] = []
"""What the tests said."""
HELD = schema.Tally()
BROWSER = ("chromium", "apt-get install chromium")


@cache
def version(program: str) -> str:
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False, timeout=60).stdout
    found = re.search(r"\d+\.\d+(\.\d+)?", said.partition("\n")[0].rpartition(")")[2] or said)
    return found.group() if found else "of unknown version"


def pytest_report_header() -> list[str]:
    try:
        qemu = f"{find_qemu()} {version(find_qemu())}"
    except Unavailable as missing:
        qemu = f"MISSING, tests that need it are skipped: {missing}"
    lines = [f"qemu: {qemu}"]
    for name, (program, install) in GDBS.items():
        path = shutil.which(program)
        said = f"{path} {version(path)}" if path else f"MISSING, tests in it are skipped; install it: {install}"
        lines.append(f"{name}: {said}")
    program, install = BROWSER
    path = shutil.which(program)
    lines.append(f"{program}: {path or f'MISSING, tests of the pages in it are skipped; install it: {install}'}")
    if not schema.THERE:
        lines.append(f"MISSING: {schema.MISSING}")
    return lines


class NamedAtOnce:
    """Prints the name of what fails when it does: a run that is ended from outside comes to no summary."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        # In a process that runs tests for another there is no terminal.
        printer = self._config.pluginmanager.get_plugin("terminalreporter")
        if report.failed and printer is not None:
            printer.line("")
            printer.write_line(f"FAILED {report.nodeid} in its {report.when}")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(NamedAtOnce(config))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Yield what was said to the report, which reaches whoever prints: the run may be in several processes."""
    item.user_properties += [("said", text) for text in SAID]
    SAID.clear()
    item.user_properties.append(("held", (schema.TALLY.answers, schema.TALLY.seconds)))
    schema.TALLY.answers, schema.TALLY.seconds = 0, 0
    yield


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "teardown":
        FOR_THE_END.extend(str(text) for name, text in report.user_properties if name == "said")
        for name, held in report.user_properties:
            if name == "held" and isinstance(held, (tuple, list)):
                HELD.answers += held[0]
                HELD.seconds += held[1]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if HELD.answers:
        FOR_THE_END.append(f"{HELD.answers} answers held to their JSON schema, in {HELD.seconds:.1f} s")
    if FOR_THE_END:
        terminalreporter.section("what was drawn and compared")
        for text in FOR_THE_END:
            terminalreporter.write_line(text)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave `full` tests out unless they are asked for; they may take longer than the others."""
    for item in items:
        if item.get_closest_marker("full"):
            item.add_marker(pytest.mark.timeout(FULL_SECONDS))
    if os.environ.get("GDBTOOLS_FULL") == "1" or config.getoption("-m"):
        return
    left_out = [item for item in items if item.get_closest_marker("full")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run whatever uses `gdb_path` in both GDBs."""
    if "gdb_path" in metafunc.fixturenames:
        found = {name: shutil.which(program) for name, (program, _) in GDBS.items()}
        ids = [f"gdb-{version(path)}" if path else name for name, path in found.items()]
        metafunc.parametrize("gdb_path", list(found), ids=ids, indirect=True, scope="session")


@pytest.fixture(scope="session")
def gdb_path(request: pytest.FixtureRequest) -> str:
    """The path of a GDB that knows AArch64."""
    program, install = GDBS[request.param]
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"{request.param} is not installed; install it: {install}")
    return path


@pytest.fixture(scope="session")
def qemu() -> str:
    """The path of QEMU, for what boots a guest."""
    try:
        return find_qemu()
    except Unavailable as missing:
        pytest.skip(str(missing))


@pytest.fixture(autouse=True, scope="session")
def answers_are_held_to_their_schema() -> Iterator[None]:
    """Hold whatever a test reads that is a line of `--json` to the schema in docs/, whoever answered it."""
    if not schema.THERE:
        yield
        return
    read = json.loads

    def held(text: Any, **options: Any) -> Any:
        found = read(text, **options)
        if schema.is_answer(found):
            schema.hold(found)
        return found

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(json, "loads", held)
        yield
