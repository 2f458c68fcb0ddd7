"""What `source gdbtools.py` costs inside GDB, and the first command, against GDB's own start and an earlier commit."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.start import EARLIER, earlier
from gdbtools.children.processes import find_gdb
from gdbtools.errors import Unavailable
from gdbtools.places import gdbinit

ROUNDS = 9
TIMED = "python import time; started = time.process_time()"
TOLD = "python print('seconds', time.process_time() - started)"
FIRST = "mmu esr 0x96000007"


def report(smallest: bool = False) -> None:
    rounds = 1 if smallest else ROUNDS
    with tempfile.TemporaryDirectory() as folder:
        scripts = {"now": gdbinit()}
        try:
            earlier(folder)
            scripts["before"] = Path(folder) / "gdbinit.d/gdbtools.py"
        except Unavailable as missing:
            print(f"source: not compared: {missing}")
        start: list[float] = []
        seconds: dict[tuple[str, str], list[float]] = {}
        # Once for nothing: what is imported is compiled then.
        for each in range(rounds + 1):
            began = time.perf_counter()
            _gdb()
            start += [time.perf_counter() - began] if each else []
            for name, script in scripts.items():
                source = f"source {script}"
                measured = {"source": (TIMED, source, TOLD), "first command": (source, TIMED, FIRST, TOLD)}
                for what, words in measured.items():
                    said = _gdb(*words)
                    assert what == "source" or "0x96000007" in said, said
                    found = float(said.split("seconds")[1])
                    seconds.setdefault((what, name), []).extend([found] if each else [])
    print(f"source, inside {find_gdb().rsplit('/', 1)[-1]}, best of {rounds}, beside {EARLIER}; no memory is read:")
    print(f"  GDB alone     {1000 * min(start):6.0f} ms")
    for what in ("source", "first command"):
        now = min(seconds[what, "now"])
        said = f"  {what:13} {1000 * now:6.0f} ms, {now / min(start):.2f} of GDB's own start"
        before = seconds.get((what, "before"))
        print(f"{said}, {now / min(before):.2f} of the earlier commit's" if before else said)


def _gdb(*commands: str) -> str:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    # Where the dependencies are: the earlier commit's folder has none of its own.
    environment["VIRTUAL_ENV"] = sys.prefix
    words = [find_gdb(), "-nx", "-batch", *(word for command in commands for word in ("-ex", command))]
    return subprocess.run(words, check=True, capture_output=True, text=True, env=environment).stdout
