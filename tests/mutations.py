"""Break each rule of the permission code in turn and see that a test notices: `python -m tests.mutations`.

A mutant is one change of one expression, made in the syntax tree and given to a fork that runs tests/arch on a copy of
the tree until something fails.  What nobody notices is printed with its place, and is either a test that is missing or
a change that changes nothing: those are in EQUIVALENT, each with the reason.  Exit status 1: an unexplained survivor.

    python -m tests.mutations             all but those of EQUIVALENT
    python -m tests.mutations --all       these too: one that is noticed now has to go from the list
    python -m tests.mutations overlay     those whose place or text has this word in it
"""

from __future__ import annotations

import ast
import copy
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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import hypothesis
import pytest

from tests.places import ROOT

FOLDER, OTHERS = "gdbtools/arch/aarch64", "riscv"
TARGETS: Mapping[str, tuple[str, ...]] = {
    "permissions/checks.py": (),
    "permissions/direct.py": (),
    "permissions/indirect.py": (),
    "permissions/overlay.py": (),
    "tables/entries.py": ("decode", "refuse_entry", "_refuse"),
    "translation/stage1.py": (
        "handed_down", "admit_access", "accept", "_update_refused", "_is_updated", "has_overlays", "fetch_refused",
        "effective", "_overlay", "check", "_dirty", "attributes",
    ),
    "translation/stage1_off.py": ("check", "attributes"),
    "translation/stage2.py": (
        "STAGE2_BASE", "MOSTLY_READ_ONLY", "accept", "grant", "_indirect", "check", "fetch_refused_by_stage_2",
        "_walker_may_write", "_is_device", "attributes", "attributes_of_both",
    ),
}  # fmt: skip
"""What is broken: whole files, or these functions and tables of them."""

_READ_COMES_WITH_WRITE = "no base permission grants writing, or a Guarded Control Stack, without reading"
_NO_LEAF = "a walk that nothing refuses ends in a leaf"
_NO_FETCH = "stage 2 tells EL1 from EL0 in execution alone, and a walk fetches no instructions"
_LEAF_HAS_ATTRIBUTES = "a walk of stage 2 has attributes exactly where it ended in a leaf"
_BOTH_LEVELS = "stage 2 has rights for EL0 and EL1, and what goes through it has no other level"
_NO_RUN_OF_TWO = "no granule and level has runs of two entries"
_INDIRECT_LEAF = "stage 2's leaves are indirect exactly where there is a S2PIR_EL2, and what was fetched has a leaf"
_BELOW_AND_VIA = "a step has been fetched through the stage below exactly where there is one"
EQUIVALENT: Mapping[tuple[str, str], str] = {
    (
        "permissions/checks.py:Effective._access_never",
        "if [user.read is None or user.write is None or user.shadow_stack -> user.read is None or user.shadow_stack]:",
    ): _READ_COMES_WITH_WRITE,
    (
        "permissions/checks.py:Effective._access_never",
        "if [user.read is None or user.write is None or user.shadow_stack -> user.read is None or user.write is None]:",
    ): _READ_COMES_WITH_WRITE,
    (
        "permissions/overlay.py:overlaid",
        "both = [base.exclusive is not None and grant.write is None and grant.execute is None -> "
        "grant.write is None and grant.execute is None]",
    ): "without an exclusive rule, what it would put in place of a right is None: the right",
    (
        "permissions/overlay.py:overlaid",
        "return [Grant(grant.read, None, base.exclusive, grant.shadow_stack) -> "
        "Grant(None, None, base.exclusive, grant.shadow_stack)] if both else grant",
    ): _READ_COMES_WITH_WRITE,
    (
        "permissions/overlay.py:overlaid",
        "return [Grant(read, write, execute, grant.shadow_stack) -> Grant(read, write, execute, None)]",
    ): "the encodings with a Guarded Control Stack have no overlay: it is False here",
    (
        "translation/stage1.py:Stage1.handed_down",
        "return [0 -> 1]",
    ): "a constant: all tables are alike in what they hand down",
    (
        "translation/stage1.py:Stage1._update_refused",
        "if [self.below is None or step.via is None -> step.via is None]:",
    ): _BELOW_AND_VIA,
    (
        "translation/stage1.py:Stage1._update_refused",
        "if [self.below is None or step.via is None -> self.below is None]:",
    ): _BELOW_AND_VIA,
    (
        "translation/stage1.py:Stage1._is_updated",
        "if [kind is not AccessKind.WRITE or not self.hardware_dirty -> kind is not AccessKind.WRITE]:",
    ): "without hardware that records it, a write to what is not dirty has been refused before",
    (
        "translation/stage1.py:Stage1.attributes",
        "contiguous=bool(leaf.Contiguous) and self.contiguous_entries(steps[-1].level) > [1 -> 2],",
    ): _NO_RUN_OF_TWO,
    (
        "translation/stage1_off.py:Stage1Off.check",
        "if [walk.refusal is None and kind is AccessKind.EXECUTE -> kind is AccessKind.EXECUTE]:",
    ): "what data may not reach, no fetch may: fewer bits of its address are ignored",
    (
        "translation/stage1.py:Stage1.check",
        "if [walk.refusal is not None or walk.leaf is None -> walk.refusal is not None]:",
    ): _NO_LEAF,
    (
        "translation/stage2.py:Stage2._walker_may_write",
        "if [self.s2pir is None or not isinstance(word, Stage2IndirectLeaf) -> "
        "not isinstance(word, Stage2IndirectLeaf)]:",
    ): _INDIRECT_LEAF,
    (
        "translation/stage2.py:Stage2._walker_may_write",
        "if [self.s2pir is None or not isinstance(word, Stage2IndirectLeaf) -> self.s2pir is None]:",
    ): _INDIRECT_LEAF,
    (
        "translation/stage2.py:Stage2.attributes",
        "contiguous=bool(word.Contiguous) and self.contiguous_entries(leaf.level) > [1 -> 2],",
    ): _NO_RUN_OF_TWO,
    (
        "translation/stage2.py:Stage2.check",
        "if [walk.refusal is not None or walk.leaf is None -> walk.refusal is not None]:",
    ): _NO_LEAF,
    (
        "translation/stage2.py:Stage2.fetch_refused_by_stage_2",
        "refusal = self.check(via, AccessKind.READ, [1 -> 2])",
    ): _NO_FETCH,
    (
        "translation/stage2.py:Stage2.fetch_refused_by_stage_2",
        "refusal = self.check(via, kind, [1 -> 2])",
    ): _NO_FETCH,
    (
        "translation/stage2.py:Stage2.fetch_refused_by_stage_2",
        "if [refusal is None and kind is AccessKind.WRITE and not self._walker_may_write(via) -> "
        "kind is AccessKind.WRITE and (not self._walker_may_write(via))]:",
    ): "what is updated has been fetched: reading it was not refused",
    (
        "translation/stage2.py:Stage2.fetch_refused_by_stage_2",
        "if [refusal is None and kind is AccessKind.WRITE and not self._walker_may_write(via) -> "
        "refusal is None and (not self._walker_may_write(via))]:",
    ): "to ask about reading again says the same again",
    (
        "translation/stage2.py:Stage2.fetch_refused_by_stage_2",
        "if [refusal is None and self.hcr.PTW and not self.hcr.TGE and via.leaf is not None and "
        "self._is_device(via.leaf) -> refusal is None and self.hcr.PTW and (via.leaf is not None) and "
        "self._is_device(via.leaf)]:",
    ): "with TGE, stage 1 of EL1&0 is off and fetches nothing",
    (
        "translation/stage2.py:Stage2.fetch_refused_by_stage_2",
        "if [refusal is None and self.hcr.PTW and not self.hcr.TGE and via.leaf is not None and "
        "self._is_device(via.leaf) -> refusal is None and self.hcr.PTW and (not self.hcr.TGE) and "
        "self._is_device(via.leaf)]:",
    ): _NO_LEAF,
    (
        "translation/stage2.py:attributes_of_both",
        "if [second is None or final.leaf is None -> final.leaf is None]:",
    ): _LEAF_HAS_ATTRIBUTES,
    (
        "translation/stage2.py:attributes_of_both",
        "if [second is None or final.leaf is None -> second is None]:",
    ): _LEAF_HAS_ATTRIBUTES,
    (
        "translation/stage2.py:attributes_of_both",
        "rights = {el: allowed & second.rights.get(el, Rights([False -> True], False, False)) "
        "for el, allowed in own.rights.items()}",
    ): _BOTH_LEVELS,
    (
        "translation/stage2.py:attributes_of_both",
        "rights = {el: allowed & second.rights.get(el, Rights(False, [False -> True], False)) "
        "for el, allowed in own.rights.items()}",
    ): _BOTH_LEVELS,
    (
        "translation/stage2.py:attributes_of_both",
        "rights = {el: allowed & second.rights.get(el, Rights(False, False, [False -> True])) "
        "for el, allowed in own.rights.items()}",
    ): _BOTH_LEVELS,
}
"""(place, change) of mutants that change nothing, and why."""

TIMES, MEMORY_BYTES = 3, 2 << 30
"""Times as long as the longest test unbroken, beyond which a mutant counts as noticed: it hangs, or lists without end.

Counted in the time of the process's own, which does not depend on what else the machine does.
"""
AT_MOST_SECONDS = 600
"""How long a test unbroken may take."""
GROUPS = ("test_deciders", "truth", "test_permissions", "test_pitfalls", "test_regimes", "")
"""Which tests come first, after those named like what is broken: those that notice most."""


@dataclass(frozen=True)
class Mutant:
    """One change: `place` is the file and what it is in, `change` the line with [what was -> what became] in it."""

    file: str
    place: str
    line: int
    change: str
    source: str

    @property
    def key(self) -> tuple[str, str]:
        return self.place, self.change

    def __str__(self) -> str:
        return f"{FOLDER}/{self.file}:{self.line}: in {self.place.partition(':')[2]}: {self.change}"


# --- What can be broken


COMPARISONS: Mapping[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
OPERATORS: Mapping[type[ast.operator], type[ast.operator]] = {
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
}
WITHHOLDING = ("Grant", "Base", "Effective", "overlaid")
"""Calls whose arguments may be nothing: None stands for a right that is granted, a rule that is not there."""


def replacements(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what one expression may be broken into."""
    if isinstance(node, ast.Compare):
        for position, operator in enumerate(node.ops):
            for other in COMPARISONS.get(type(operator), ()):
                changed = copy.deepcopy(node)
                changed.ops[position] = other()
                yield changed
    elif isinstance(node, ast.BoolOp):
        for position in range(len(node.values)):
            left = [value for number, value in enumerate(node.values) if number != position]
            yield left[0] if len(left) == 1 else ast.BoolOp(node.op, left)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.Invert):
        yield node.operand
    elif isinstance(node, ast.BinOp) and type(node.op) in OPERATORS and not _is_union(node):
        yield ast.BinOp(node.left, OPERATORS[type(node.op)](), node.right)
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield ast.Constant(not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int):
        yield ast.Constant(node.value + 1)
        if node.value > 1:
            yield ast.Constant(node.value - 1)
    elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "VMSACause":
        yield ast.Attribute(node.value, "RANGE_SIZE", node.ctx)
    elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "FaultKind":
        yield ast.Attribute(node.value, "ALIGNMENT", node.ctx)
    elif isinstance(node, ast.IfExp):
        yield ast.IfExp(ast.UnaryOp(ast.Not(), node.test), node.body, node.orelse)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in WITHHOLDING:
        for position, argument in enumerate(node.args):
            if not (isinstance(argument, ast.Constant) and argument.value in (None, False)):
                changed = copy.deepcopy(node)
                changed.args[position] = ast.Constant(None)
                yield changed


def broken_statements(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what one statement may be broken into."""
    if isinstance(node, ast.If):
        changed = copy.deepcopy(node)
        changed.test = ast.UnaryOp(ast.Not(), changed.test)
        yield changed
    elif isinstance(node, ast.Return) and not (isinstance(node.value, ast.Constant) and not node.value.value):
        yield ast.Return(ast.Constant(None))


def _is_union(node: ast.BinOp) -> bool:
    """Return whether it is `A | B` of types."""
    return isinstance(node.op, ast.BitOr) and all(
        (isinstance(side, ast.Name) and side.id[0].isupper() and not side.id.isupper()) or isinstance(side, ast.BinOp)
        for side in (node.left, node.right)
    )


def mutants(file: str) -> Iterator[Mutant]:
    """Yield every mutant of one file, each once."""
    text = (ROOT / FOLDER / file).read_text()
    tree, lines = ast.parse(text), text.split("\n")
    seen: set[str] = set()
    for owner, path in _places(tree, file):
        node = _at(tree, path)
        for changed in (*replacements(node), *broken_statements(node)):
            whole = copy.deepcopy(tree)
            _put(whole, path, changed)
            source = ast.unparse(ast.fix_missing_locations(whole))
            if source not in seen:
                seen.add(source)
                yield Mutant(file, f"{file}:{owner}", node.lineno, _change(lines, node, changed), source)


def _change(lines: Sequence[str], node: ast.AST, changed: ast.AST) -> str:
    """Show the line with what was changed in it."""
    first, new = lines[node.lineno - 1], _text(changed)
    if isinstance(node, ast.If):
        return f"[{_text(node)} -> {new}]"
    if node.end_lineno != node.lineno:
        return f"{first[: node.col_offset].lstrip()}[{_text(node)} -> {new}]"
    old = first[node.col_offset : node.end_col_offset]
    return f"{first[: node.col_offset].lstrip()}[{old} -> {new}]{first[node.end_col_offset :]}"


Path_ = tuple[tuple[str, "int | None"], ...]


def _places(tree: ast.Module, file: str) -> Iterator[tuple[str, Path_]]:
    """Yield (owner, path) of every node that may be changed: no assertions, docstrings, annotations or decorators."""

    def below(node: ast.AST, path: Path_, owner: str) -> Iterator[tuple[str, Path_]]:
        for name, value in ast.iter_fields(node):
            if name in (
                "annotation",
                "returns",
                "decorator_list",
                "bases",
                "keywords",
                "type_params",
            ) and not isinstance(node, ast.Call):
                continue
            for index, child in enumerate(value) if isinstance(value, list) else ((None, value),):
                if not isinstance(child, ast.AST) or isinstance(child, ast.Assert | ast.Import | ast.ImportFrom):
                    continue
                if isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant):
                    continue
                inner = _owner(child, owner)
                yield from below(child, (*path, (name, index)), inner)
                wanted = not TARGETS[file] or set(inner.split(".")) & set(TARGETS[file])
                if wanted and hasattr(child, "lineno"):
                    yield inner, (*path, (name, index))

    yield from below(tree, (), "")


def _owner(node: ast.AST, owner: str) -> str:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return f"{owner}.{node.name}".lstrip(".")
    if not owner and isinstance(node, ast.Assign | ast.AnnAssign):
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        return target.id if isinstance(target, ast.Name) else ""
    return owner


def _at(tree: ast.AST, path: Path_) -> ast.AST:
    node = tree
    for name, index in path:
        value = getattr(node, name)
        node = value if index is None else value[index]
    return node


def _put(tree: ast.AST, path: Path_, new: ast.AST) -> None:
    parent, (name, index) = _at(tree, path[:-1]), path[-1]
    if index is None:
        setattr(parent, name, copy.deepcopy(new))
    else:
        getattr(parent, name)[index] = copy.deepcopy(new)


def _text(node: ast.AST) -> str:
    text = ast.unparse(ast.fix_missing_locations(copy.deepcopy(node)))
    first = text.partition("\n")[0]
    return first if len(first) <= 100 else first[:97] + "..."


# --- A fork for each


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


def ordered_tests(tree: Path, mutant: Mutant | None) -> list[str]:
    """Return the files of tests/arch that are this architecture's or everybody's, the ones that notice most first."""
    groups = (*([] if mutant is None else [f"test_{mutant.file}"]), *GROUPS)
    files = (path.relative_to(tree) for path in (tree / "tests/arch").rglob("test_*.py"))
    found = sorted(str(path) for path in files if OTHERS not in path.parts)
    return sorted(found, key=lambda name: next(n for n, group in enumerate(groups) if group in name))


def enter(tree: Path, mutant: Mutant | None) -> None:
    """Make this process one that knows only the copy of the tree, and in it the mutant."""
    for name in [each for each in sys.modules if each.partition(".")[0] in ("tests", "gdbtools")]:
        del sys.modules[name]
    sys.path[:] = [str(tree), *(each for each in sys.path if each and Path(each).resolve() != ROOT)]
    os.chdir(tree)
    os.environ["PYTHONPATH"] = str(tree)
    sys.dont_write_bytecode = mutant is not None
    if mutant is not None:
        name = f"{FOLDER}/{mutant.file}".removesuffix(".py").replace("/", ".")
        sys.meta_path.insert(0, Mutated(name, str(tree / FOLDER / mutant.file), mutant.source))
    # The same examples each time, none remembered, and none made smaller: any failure will do.
    phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
    hypothesis.settings.register_profile("mutations", database=None, derandomize=True, deadline=None, phases=phases)
    hypothesis.settings.load_profile("mutations")


def run(tree: Path, mutant: Mutant | None, words: Sequence[str], limit: float) -> tuple[int, Watch]:
    enter(tree, mutant)
    watch = Watch(limit)
    options = ["-q", "--no-header", "--no-summary", "--tb=no", "-p", "no:cacheprovider", "--noconftest"]
    status = pytest.main([*options, *words, *ordered_tests(tree, mutant)], plugins=[watch])
    return int(status), watch


def forked(tree: Path, mutant: Mutant | None, words: Sequence[str], limit: float, report: Path | None = None) -> int:
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
        status, watch = run(tree, mutant, words, limit)
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
            running[forked(tree, mutant, ["-x", *words], limit)] = mutant
        child, status = os.wait()
        mutant = running.pop(child)
        done += 1
        if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0:
            yield mutant
        if done % 25 == 0:
            print(f"  {done} of {len(wanted)} after {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)


def main(arguments: Sequence[str]) -> int:
    everything = [mutant for file in TARGETS for mutant in mutants(file)]
    there = {name for mutant in everything for name in (mutant.file, *mutant.place.partition(":")[2].split("."))}
    if missing := {name for file, names in TARGETS.items() for name in (file, *names)} - there:
        print(f"nothing to break in {', '.join(sorted(missing))}: has it another name now?", file=sys.stderr)
        return 1
    words = [word for word in arguments if word != "--all"]
    wanted = [each for each in everything if "--all" in arguments or each.key not in EQUIVALENT]
    wanted = [each for each in wanted if not words or any(word in str(each) for word in words)]
    with tempfile.TemporaryDirectory(prefix="mutations-") as folder:
        tree = Path(folder)
        for name in ("gdbtools", "tests"):
            shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__", ".hypothesis"))
        shutil.copy(ROOT / "pyproject.toml", tree)
        (tree / "fixtures").symlink_to(ROOT / "fixtures")
        report = tree / "failed"
        started = time.monotonic()
        _, status = os.waitpid(forked(tree, None, [], AT_MOST_SECONDS, report), 0)
        if not os.WIFEXITED(status) or os.WEXITSTATUS(status) not in (0, 1):
            print("the tests do not run at all", file=sys.stderr)
            return 1
        longest, failed = json.loads(report.read_text())
        failing = list(dict.fromkeys(failed))
        for name in failing:
            print(f"left out, it fails already: {name}")
        unbroken = time.monotonic() - started
        took = f"{unbroken:.0f} s unbroken, the longest of them {longest:.1f} s"
        print(f"{len(wanted)} mutants; the tests take {took}", flush=True)
        left_out = [word for name in failing for word in ("--deselect", name)]
        found = []
        for mutant in survivors(tree, wanted, left_out, TIMES * longest + 1):
            found.append(mutant)
            if mutant.key not in EQUIVALENT:
                print(f"SURVIVED {mutant}", flush=True)
    stale = set(EQUIVALENT) - {each.key for each in (found if arguments == ["--all"] else everything)}
    for place, change in sorted(stale):
        print(f"no such survivor any more, take it off the list: {place}: {change}")
    unknown = [mutant for mutant in found if mutant.key not in EQUIVALENT]
    print(
        f"{len(everything)} mutants: {len(wanted)} were tried and {len(found)} survived, {len(unknown)} of them "
        f"unexplained; {len(EQUIVALENT)} change nothing"
    )
    return 1 if unknown or stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
