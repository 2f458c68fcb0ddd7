"""What an answer costs that is asked from the command line, against Python's own start and an earlier commit."""

from __future__ import annotations

import io
import os
import resource
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from gdbtools.errors import Unavailable

ROOT = Path(__file__).resolve().parent.parent
EARLIER = "a6a564b"
"""Before the house was built for three architectures."""
ROUNDS = 15
CAPTURE = "fixtures/captures/access-flag.core"
ASKED: Mapping[str, Sequence[str]] = {
    "python -c pass": ("-c", "pass"),
    "esr VALUE": ("-m", "gdbtools.cli", "esr", "0x96000007"),
    "walk -s CAPTURE VA": ("-m", "gdbtools.cli", "walk", "-s", CAPTURE, "0x1000"),
}


def report(smallest: bool = False) -> None:
    """Ask both in turn, so that a busy machine is busy for both; seconds of the processor, the least of all rounds."""
    rounds = 1 if smallest else ROUNDS
    with tempfile.TemporaryDirectory() as folder:
        earlier(folder)
        best: dict[str, list[float]] = {name: [float("inf")] * 2 for name in ASKED}
        # Once for nothing: what is imported is compiled then.
        for each in range(rounds + 1):
            for name, words in ASKED.items():
                for place, tree in enumerate((folder, str(ROOT))):
                    seconds = _seconds(words, tree)
                    best[name][place] = min(best[name][place], seconds) if each else float("inf")
    print(f"start, time on the processor, best of {rounds}, beside {EARLIER}; no memory is read but a capture's:")
    unit = min(best["python -c pass"])
    for name, (before, now) in best.items():
        ratios = f"{now / unit:.1f} of Python's own start, {now / before:.2f} of the earlier commit's"
        print(f"  {name:20}{1000 * before:5.0f} ms before,{1000 * now:5.0f} ms now: {ratios}")


def earlier(folder: str) -> None:
    """Unpack the earlier commit into a folder; raises `Unavailable` where it is not to be had."""
    git = shutil.which("git")
    if git is None:
        raise Unavailable("there is no git to have the earlier commit from")
    taken = subprocess.run([git, "archive", EARLIER], cwd=ROOT, capture_output=True, check=False)
    if taken.returncode:
        raise Unavailable(f"the earlier commit {EARLIER} is not in this clone: {taken.stderr.decode().strip()}")
    with tarfile.open(fileobj=io.BytesIO(taken.stdout)) as archive:
        archive.extractall(folder)


def _seconds(words: Sequence[str], tree: str) -> float:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    # Not the environment's own copy: the folder's.
    environment["PYTHONPATH"] = tree
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, *words], cwd=tree, env=environment, capture_output=True, check=False)
    assert done.returncode in (0, 1), done.stderr.decode()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
