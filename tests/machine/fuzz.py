"""One fuzz run, coverage-guided by atheris; the arguments after the target are libFuzzer's own.

python -m tests.machine.fuzz TARGET CORPUS -max_total_time=600     # or name a file, to see what it does
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import atheris

# What is imported first is not instrumented: most of the time of a short run would go into that.
import gdbtools.arch
import gdbtools.render.text

with atheris.instrument_imports(include=["gdbtools"]):
    import gdbtools.commands.service.fault_log
    import gdbtools.machine.symbols  # noqa: F401
    from gdbtools.analysis import mappings
from tests.machine.dumps.hostile import TARGETS, TOGETHER


def main(name: str, arguments: Sequence[str]) -> None:
    target = TARGETS.get(name, TOGETHER)
    # The same limit, reached sooner: what is listed of a thicket is not what is looked for here.
    mappings.A_FEW, mappings.TIMES, mappings.TOGETHER = 64, 1, 1 << 12
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "input"

        def one(data: bytes) -> None:
            path.write_bytes(data)
            target.take(path)

        atheris.Setup(["fuzz", *arguments], one)
        atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
