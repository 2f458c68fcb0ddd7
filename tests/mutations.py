"""Break each rule of the permission code in turn and see that a test notices: `python -m tests.mutations`.

A mutant is one change of one expression, made in the syntax tree and given to a fork that runs tests/arch on a copy of
the tree until something fails.  What nobody notices is printed with its place, and is either a test that is missing or
a change that changes nothing: those are in EQUIVALENT, each with the reason.  Exit status 1: an unexplained survivor.

    python -m tests.mutations             all but those of EQUIVALENT
    python -m tests.mutations --all       these too: one that is noticed now has to go from the list
    python -m tests.mutations overlay     those whose place or text has this word in it: a file, a rule, `arch/riscv`

What is broken, and EQUIVALENT, are in tests/mutants, a file for each architecture.
"""

from __future__ import annotations

import importlib.abc
import importlib.util
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType

import hypothesis
import pytest

from tests.mutants import aarch32, aarch64, riscv, x86_64
from tests.mutants.changes import Mutant, Rules, mutants
from tests.places import ROOT

TIMES, MEMORY_BYTES = 3, 6 << 30
"""Times as long as the longest test unbroken, beyond which a mutant counts as noticed: it hangs, or lists without end.

Counted in the time of the process's own, which does not depend on what else the machine does.
"""
AT_MOST_SECONDS = 600
"""How long a test unbroken may take."""
ARCHITECTURES: Sequence[Rules] = (aarch64.RULES, aarch32.RULES, riscv.RULES, x86_64.RULES)


class Mutated(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives one module its broken source."""

    def __init__(self, name: str, path: str, source: str) -> None:
        self.name, self.path, self.source = name, path, source

    def find_spec(self, name: str, path: object, target: ModuleType | None = None) -> object:
        return importlib.util.spec_from_loader(name, self, origin=self.path) if name == self.name else None

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(self.source, self.path, "exec"), vars(module))


class Watch:
    """A pytest plugin that remembers what failed and the longest that anything took; ends the process after `limit`."""

    def __init__(self, limit: float) -> None:
        self.failed: list[str] = []
        self.longest = 0.0
        self._limit = limit
        self._since = 0.0
        self._next()

    def _next(self) -> None:
        now = time.process_time()
        self.longest = max(self.longest, now - self._since)
        self._since = now
        signal.setitimer(signal.ITIMER_PROF, self._limit)

    def pytest_runtest_logstart(self) -> None:
        self._next()

    def pytest_runtest_logfinish(self) -> None:
        self._next()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed.append(report.nodeid)


def ordered_tests(tree: Path, rules: Rules, mutant: Mutant | None) -> tuple[list[str], list[str], list[str]]:
    """Return the files of tests that are this architecture's or everybody's: a mutant's own, those that notice most,
    the others.

    Its own are called after its file or its folder.  Most mutants need no more than the first of them to be read.
    """
    own = () if mutant is None else [f"test_{name}." for name in mutant.file.removesuffix(".py").split("/")]
    others = {each.name for each in ARCHITECTURES} - {rules.name}
    files = (path.relative_to(tree) for folder in rules.tests for path in (tree / folder).rglob("test_*.py"))
    left = sorted(str(path) for path in files if not others & set(path.parts))
    found: list[list[str]] = []
    for groups in (own, rules.first_tests, ("",)):
        chosen = [name for name in left if any(group in name for group in groups)]
        chosen.sort(key=lambda name: next(n for n, group in enumerate(groups) if group in name))
        left = [name for name in left if name not in chosen]
        found.append(chosen)
    return found[0], found[1], found[2]


def enter(tree: Path, mutant: Mutant | None) -> None:
    """Make this process one that knows only the copy of the tree, and in it the mutant."""
    for name in [each for each in sys.modules if each.partition(".")[0] in ("tests", "gdbtools")]:
        del sys.modules[name]
    sys.path[:] = [str(tree), *(each for each in sys.path if each and Path(each).resolve() != ROOT)]
    os.chdir(tree)
    os.environ["PYTHONPATH"] = str(tree)
    sys.dont_write_bytecode = mutant is not None
    if mutant is not None:
        name = f"{mutant.rules.folder}/{mutant.file}".removesuffix(".py").replace("/", ".")
        sys.meta_path.insert(0, Mutated(name, str(tree / mutant.rules.folder / mutant.file), mutant.source))
    # The same examples each time, none remembered, and none made smaller: any failure will do.
    phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
    hypothesis.settings.register_profile("mutations", database=None, derandomize=True, deadline=None, phases=phases)
    hypothesis.settings.load_profile("mutations")


def run(tree: Path, rules: Rules, mutant: Mutant | None, words: Sequence[str], limit: float) -> tuple[int, Watch]:
    enter(tree, mutant)
    watch = Watch(limit)
    options = ["-q", "--no-header", "--no-summary", "--tb=no", "-p", "no:cacheprovider", "--noconftest"]
    status = 0
    for files in filter(None, ordered_tests(tree, rules, mutant)):
        ended = int(pytest.main([*options, *words, *files], plugins=[watch]))
        status = status or ended
        if status and mutant is not None:
            break
    return status, watch


def forked(
    tree: Path, rules: Rules, mutant: Mutant | None, words: Sequence[str], limit: float, report: Path | None = None
) -> int:
    """Start one fork and give its process id; its exit status is pytest's, and 7 what is no failure of a test.

    One that needs more than `limit` seconds for a test ends by a signal.
    """
    child = os.fork()
    if child:
        return child
    status = 7
    try:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        for stream in (1, 2):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
        status, watch = run(tree, rules, mutant, words, limit)
        if report is not None:
            report.write_text(json.dumps([watch.longest, watch.failed]))
    finally:
        os._exit(status)


def survivors(tree: Path, wanted: Sequence[Mutant], words: Sequence[str], limit: float) -> Iterator[Mutant]:
    """Run all mutants, a few at a time, and give those that no test noticed."""
    waiting, running = list(reversed(wanted)), dict[int, Mutant]()
    started, done = time.monotonic(), 0
    while waiting or running:
        while waiting and len(running) < (os.cpu_count() or 1):
            mutant = waiting.pop()
            running[forked(tree, mutant.rules, mutant, ["-x", *words], limit)] = mutant
        child, status = os.wait()
        mutant = running.pop(child)
        done += 1
        if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0:
            yield mutant
        if done % 25 == 0:
            print(f"  {done} of {len(wanted)} after {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)


def main(arguments: Sequence[str]) -> int:
    words = [word for word in arguments if word != "--all"]
    with tempfile.TemporaryDirectory(prefix="mutations-") as folder:
        tree = Path(folder)
        for name in ("gdbtools", "tests"):
            shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__", ".hypothesis"))
        shutil.copy(ROOT / "pyproject.toml", tree)
        (tree / "fixtures").symlink_to(ROOT / "fixtures")
        return max(tried(tree, rules, "--all" in arguments, words) for rules in ARCHITECTURES)


def tried(tree: Path, rules: Rules, also_equivalent: bool, words: Sequence[str]) -> int:
    """Try the mutants of one architecture, print what survived, and return the exit status."""
    everything = [mutant for file in rules.targets for mutant in mutants(rules, file)]
    there = {name for mutant in everything for name in (mutant.file, *mutant.place.partition(":")[2].split("."))}
    if missing := {name for file, names in rules.targets.items() for name in (file, *names)} - there:
        print(f"nothing to break in {', '.join(sorted(missing))}: has it another name now?", file=sys.stderr)
        return 1
    wanted = [each for each in everything if also_equivalent or each.key not in rules.equivalent]
    wanted = [each for each in wanted if not words or any(word in str(each) for word in words)]
    if not wanted:
        return 0
    report = tree / "failed"
    started = time.monotonic()
    _, status = os.waitpid(forked(tree, rules, None, [], AT_MOST_SECONDS, report), 0)
    if not os.WIFEXITED(status) or os.WEXITSTATUS(status) not in (0, 1):
        print("the tests do not run at all", file=sys.stderr)
        return 1
    longest, failed = json.loads(report.read_text())
    failing = list(dict.fromkeys(failed))
    for name in failing:
        print(f"left out, it fails already: {name}")
    unbroken = time.monotonic() - started
    took = f"{unbroken:.0f} s unbroken, the longest of them {longest:.1f} s"
    print(f"{rules.name}: {len(wanted)} mutants; the tests take {took}", flush=True)
    left_out = [word for name in failing for word in ("--deselect", name)]
    found = []
    for mutant in survivors(tree, wanted, left_out, TIMES * longest + 1):
        found.append(mutant)
        if mutant.key not in rules.equivalent:
            print(f"SURVIVED {mutant}", flush=True)
    stale = set(rules.equivalent) - {each.key for each in (found if also_equivalent and not words else everything)}
    for place, change in sorted(stale):
        print(f"no such survivor any more, take it off the list: {place}: {change}")
    unknown = [mutant for mutant in found if mutant.key not in rules.equivalent]
    print(
        f"{rules.name}: {len(everything)} mutants: {len(wanted)} were tried and {len(found)} survived, {len(unknown)} "
        f"of them unexplained; {len(rules.equivalent)} change nothing"
    )
    return 1 if unknown or stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
