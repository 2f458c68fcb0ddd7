"""How an expression is broken: every mutant of one file, made in the syntax tree."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeGuard, cast

from tests.places import ROOT


@dataclass(frozen=True)
class Rules:
    """One architecture's rules: which are broken, and what of that changes nothing.

    `targets` are whole files of `folder`, or these functions and tables of them; `equivalent` has the reasons by
    (place, change); `instead` has for an enum the member that takes the place of any other; `first_tests` are words in
    the names of those tests that notice most, in this order; `tests` are the folders of all of them.
    """

    folder: str
    targets: Mapping[str, tuple[str, ...]]
    equivalent: Mapping[tuple[str, str], str]
    instead: Mapping[str, str]
    first_tests: tuple[str, ...]
    tests: tuple[str, ...] = ("tests/arch",)

    @property
    def name(self) -> str:
        return self.folder.rpartition("/")[2]


@dataclass(frozen=True)
class Mutant:
    """One change: `place` is the file and what it is in, `change` the line with [what was -> what became] in it."""

    rules: Rules
    file: str
    place: str
    line: int
    change: str
    source: str

    @property
    def key(self) -> tuple[str, str]:
        return self.place, self.change

    def __str__(self) -> str:
        return f"{self.rules.folder}/{self.file}:{self.line}: in {self.place.partition(':')[2]}: {self.change}"


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


def replacements(node: ast.AST, instead: Mapping[str, str]) -> Iterator[ast.AST]:
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
    elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in instead:
        yield ast.Attribute(node.value, instead[node.value.id], node.ctx)
    elif _is_letters(node) and node.value:
        yield ast.Constant("")
    elif isinstance(node, ast.Tuple) and all(_is_letters(each) for each in node.elts):
        for position, element in enumerate(node.elts):
            if not cast(ast.Constant, element).value:
                changed = copy.deepcopy(node)
                changed.elts[position] = ast.Constant("r")
                yield changed
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


def _is_letters(node: ast.AST) -> TypeGuard[ast.Constant]:
    """Return whether it is a text of the letters that stand for rights, or of none."""
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and set(node.value) <= set("rwx")


def mutants(rules: Rules, file: str) -> Iterator[Mutant]:
    """Yield every mutant of one file, each once."""
    text = (ROOT / rules.folder / file).read_text()
    tree, lines = ast.parse(text), text.split("\n")
    seen = {ast.unparse(tree)}
    for owner, path in _places(tree, rules.targets[file]):
        node = _at(tree, path)
        for changed in (*replacements(node, rules.instead), *broken_statements(node)):
            whole = copy.deepcopy(tree)
            _put(whole, path, changed)
            source = ast.unparse(ast.fix_missing_locations(whole))
            if source not in seen:
                seen.add(source)
                yield Mutant(rules, file, f"{file}:{owner}", node.lineno, _change(lines, node, changed), source)


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


def _places(tree: ast.Module, names: Sequence[str]) -> Iterator[tuple[str, Path_]]:
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
                wanted = not names or set(inner.split(".")) & set(names)
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
