"""Who may import whom: design.md's arrows as data. The first arrow that breaks one fails."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.places import ROOT

PACKAGE = ROOT / "gdbtools"

LEAVES = (
    "addresses",
    "bits",
    "errors",
    "numbers",
    "printable",
    "spelling",
    "places",
    "units",
    "wording",
    "__version__",
)
"""What knows of no room."""
MODEL = (
    "arch.identity",
    "arch.model",
    "arch.capabilities",
    "arch.exceptions",
    "arch.isolation",
    "arch.gadgets",
    "arch.other_state",
    "arch.guests",
    "arch.hardware_flags",
    "arch.table_heuristics",
    "addresses",
    "bits",
    "errors",
    "units",
    "wording",
)
"""What is said of any architecture: values and interfaces."""
ARCH = (
    *MODEL,
    "arch.instruction_effects",
    "arch.regime_cache",
    "arch.walk",
    "arch.scan",
    "arch.table_pages",
    "arch.flawed_entries",
)
# A folder (or a file of the top level) and what it may import of gdbtools; the longest prefix of a module decides.
ALLOWED: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(LEAVES, ()),
    "errors": ("addresses",),
    "numbers": ("errors",),
    "places": ("errors",),
    "spelling": ("bits", "errors"),
    "arch": ("arch", "addresses", "bits", "errors", "units", "wording"),
    "arch.model": ("arch.model", "addresses", "bits", "errors", "wording"),
    "arch.arm": ("arch.arm", *ARCH),
    # What translates for an EL1 in AArch32 state, and what a Hyp mode has of AArch64, is asked for by its name.
    "arch.aarch64": ("arch.aarch64", "arch.arm", "arch.ARCHITECTURES", *ARCH),
    "arch.aarch32": ("arch.aarch32", "arch.arm", "arch.ARCHITECTURES", *ARCH),
    "arch.riscv": ("arch.riscv", *ARCH),
    "arch.x86_64": ("arch.x86_64", *ARCH),
    "systems": ("systems", "arch.aarch64", "arch.aarch32", "arch.riscv", "arch.x86_64", *ARCH),
    "machine": ("machine", "systems", "arch.ARCHITECTURES", *MODEL, *LEAVES),
    "analysis": ("analysis", "systems", "machine.model", "machine.layers", *ARCH),
    "repair": ("repair", "analysis", "systems", "machine.model", "machine.layers", "spelling", *ARCH),
    "render": ("render", "printable", "wording", "__version__"),
    "children": ("children", "arch.ARCHITECTURES", "machine.live", "render.document", *LEAVES),
    "commands": (
        "commands", "render", "analysis", "repair", "systems", "machine.model", "machine.layers",
        "machine.dumps.capture", "machine.dumps.crash_log", "machine.dumps.crash_text", "machine.logs.crash_symbols",
        "machine.dumps.extents",
        "machine.dumps.files", "systems.vmcoreinfo", *ARCH, *LEAVES,
    ),
    "live": (
        "live", "commands", "render", "repair", "analysis", "machine.model", "machine.layers", "machine.live",
        "machine.progress",        "machine.dumps.files", "machine.sources", "arch.ARCHITECTURES", *ARCH, *LEAVES,
    ),
    "repl": ("repl", "children", "commands", "render", "machine", "arch.ARCHITECTURES", *MODEL, *LEAVES),
    "mcp": ("mcp", "children.mi", "commands", "machine", *LEAVES),
    # The launcher: it starts the demo, which is the one place where a face calls another.
    "cli": (
        "commands", "render", "machine", "arch.ARCHITECTURES", *MODEL, *LEAVES, "repl.PROMPTS", "repl.start",
        "repl.demo", "shells", "mcp.server", "batch",
    ),
    "batch": ("commands", *LEAVES),
    "shells": ("commands", "repl.PROMPTS", "repl.start", "mcp.server", "batch", "arch.ARCHITECTURES", *LEAVES),
}  # fmt: skip
# A library, and the only places that may import it.
ONLY: dict[str, tuple[str, ...]] = {
    "gdb": ("live", "gdbinit.d"),
    "pygdbmi": ("children",),
    "prompt_toolkit": ("repl",),
    "elftools": ("machine",),
    "mcp": ("mcp",),
    "tabulate": ("render",),
    "wcwidth": ("render",),
}
MOST_LINES, MOST_FILES = 400, 21
LONG: set[str] = set()
FULL: set[str] = set()
_WORDS = re.compile(
    r"\bEL[0-3x]\b|\b(?:ESR|HPFAR|SPSR|ELR|VBAR|TTBR[01]?|TCR|SCTLR|HCR|VTTBR|VTCR|MAIR|PSTATE)(?:_EL[0-3x])?\b"
    r"|\beret\b|\bTLBI\b|\bDSB\b|\bISB\b|\b[aA]arch64\b|\bAArch64\b|\bEL\{"
)
LEFT: Mapping[str, tuple[int, str]] = {
    "arch": (2, "the one line that registers it"),
    "systems": (25, "the lines that register what is known of its systems"),
    "commands.tlbi.declared": (1, "its name"),
}
"""What of it is outside, how often, and why it stays."""
AT_IMPORT = ("subprocess", "os.system", "gdb.execute", "socket")


def modules() -> dict[str, Path]:
    """Return every module of the package by its name within it."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(source: str) -> set[str]:
    """Return what a module imports, anywhere in it: `a.b` for `import a.b`, `a.b.c` for `from a.b import c`."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def broken(module: str, source: str) -> list[str]:
    """Return which imports of a module break a rule."""
    room = max((each for each in ALLOWED if within(module, each)), key=len, default=None)
    complaints = []
    for name in sorted(imports(source)):
        library = name.split(".")[0]
        if library in ONLY and not any(within(module, each) for each in ONLY[library]):
            complaints.append(f"{module} imports {name}: {library} belongs to {', '.join(ONLY[library])}")
        if library == "gdbtools" and room is not None:
            inner = name.removeprefix("gdbtools").lstrip(".")
            if inner and not any(within(inner, each) for each in ALLOWED[room]):
                complaints.append(f"{module} imports {name}: {room} may import {', '.join(ALLOWED[room]) or 'nothing'}")
    return complaints


def within(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(f"{prefix}.")


def test_no_import_breaks_an_arrow() -> None:
    assert [each for name, path in modules().items() if name for each in broken(name, path.read_text())] == []


def test_nothing_is_spawned_or_touched_at_import() -> None:
    for module, path in modules().items():
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom | ast.If):
                continue
            for call in (each for each in ast.walk(node) if isinstance(each, ast.Call)):
                called = ast.unparse(call.func)
                assert not called.startswith(AT_IMPORT), f"{module} calls {called} when it is imported"


def at_import(path: Path, known: Mapping[str, Path]) -> set[str]:
    """Return the modules of ours that one imports when it is imported itself."""
    found: set[str] = set()

    def look(body: Sequence[ast.stmt]) -> None:
        for node in body:
            if isinstance(node, ast.If) and "TYPE_CHECKING" not in ast.unparse(node.test):
                look(node.body)
            elif isinstance(node, ast.ImportFrom) and node.module:
                inner = node.module.removeprefix("gdbtools").lstrip(".")
                names = [f"{inner}.{alias.name}".lstrip(".") for alias in node.names]
                found.update(each if each in known else inner for each in names)

    look(ast.parse(path.read_text()).body)
    return found & set(known)


def test_no_import_leads_back() -> None:
    known = modules()
    order = TopologicalSorter({name: at_import(path, known) - {name} for name, path in known.items()})
    assert len([*order.static_order()]) == len(known), "a circle raises"


def test_no_file_is_long_and_no_folder_is_full() -> None:
    lengths = {name: len(path.read_text().splitlines()) for name, path in modules().items()}
    assert {name for name, length in lengths.items() if length > MOST_LINES} == LONG
    folders = Counter(str(path.parent.relative_to(PACKAGE)) for path in modules().values())
    assert {name for name, count in folders.items() if count > MOST_FILES} == FULL


def test_each_folder_is_in_the_picture_of_the_house() -> None:
    told = set(re.findall(r"`(\w+)/`", (ROOT / "docs/architecture.md").read_text()))
    there = {path.name for path in PACKAGE.iterdir() if path.is_dir() and (path / "__init__.py").exists()}
    assert there <= told, "docs/architecture.md lacks it"


def test_a_class_name_means_one_thing() -> None:
    """`Options` is what each command is asked: part of what its folder has, as `run` and `view` are."""
    named: dict[str, list[str]] = {}
    for module, path in modules().items():
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef):
                named.setdefault(node.name, []).append(module)
    assert {name: where for name, where in named.items() if len(where) > 1 and name != "Options"} == {}


def leaks(source: str) -> Counter[str]:
    """Return the words of one architecture in a source, comments and docstrings included, and how often each."""
    return Counter(_WORDS.findall(source))


def test_no_architecture_is_named_outside_its_folder() -> None:
    """What is left has a reason; words and sentences are asked for, or say it as every architecture would."""
    found = {}
    for module, path in modules().items():
        if not re.search(r"(^|\.)(aarch64|aarch32|arm)(\.|$)", module):
            count = leaks(path.read_text()).total()
            if count:
                found[module] = count
    assert found == {module: count for module, (count, _) in LEFT.items()}


_PARSED_AGAIN = re.compile(
    r"""(?:partition|split)\((?:" through "|", "|" of "|"-> ")\)|["'](?:Normal|Device|Inner)["'] in |"""
    r"""\((?:"Normal"|"Device")\)|\.name\.lower\(\)\.replace"""
)


def test_what_was_a_value_is_not_read_out_of_words_again() -> None:
    """A regime knows its own name, a mapping whether it is a device's; only `wording` makes words of a member."""
    found = {
        module: _PARSED_AGAIN.findall(path.read_text())
        for module, path in modules().items()
        if module != "wording" and _PARSED_AGAIN.search(path.read_text())
    }
    assert found == {}


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("arch.walk", "from gdbtools.machine.model import Machine"),
        ("commands.walk", "import gdb"),
        ("commands.walk", "def f():\n    import gdb"),
        ("render.text", "from gdbtools.arch.model import Walk"),
        ("machine.raw", "from tabulate import tabulate"),
        ("machine.raw", "from wcwidth import wcswidth"),
        ("live.guest", "from gdbtools.children.mi import Gdb"),
        ("repl.mi", "from gdbtools.live.guest import LiveGuest"),
        ("arch.model", "from gdbtools.arch.aarch64 import regimes"),
        ("bits", "from gdbtools.errors import Refused"),
    ],
)
def test_a_broken_arrow_is_noticed(module: str, source: str) -> None:
    assert broken(module, source) != []
