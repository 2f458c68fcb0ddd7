"""Who may import whom: design.md's arrows as data. The first arrow that breaks one fails."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.places import ROOT

PACKAGE = ROOT / "gdbtools"

LEAVES = ("bits", "errors", "numbers", "printable", "spelling", "places", "units", "wording", "__version__")
"""What knows of no room."""
MODEL = (
    "arch.identity",
    "arch.model",
    "arch.capabilities",
    "arch.isolation",
    "arch.gadgets",
    "arch.table_heuristics",
    "bits",
    "errors",
    "units",
    "wording",
)
"""What is said of any architecture: values and interfaces."""
ARCH = (*MODEL, "arch.instruction_effects", "arch.regime_cache", "arch.walk", "arch.scan")
# A folder (or a file of the top level) and what it may import of gdbtools; the longest prefix of a module decides.
ALLOWED: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(LEAVES, ()),
    "numbers": ("errors",),
    "places": ("errors",),
    "arch": ("arch", "bits", "errors", "units", "wording"),
    "arch.model": ("arch.model", "bits", "errors", "wording"),
    "arch.aarch64": ("arch.aarch64", *ARCH),
    "systems": ("systems", "arch.aarch64", *ARCH),
    "machine": ("machine", "systems", "arch.ARCHITECTURES", *MODEL, *LEAVES),
    "analysis": ("analysis", "systems", "machine.model", *ARCH),
    "repair": ("repair", "analysis", "systems", "machine.model", *ARCH),
    "render": ("render", "printable", "wording", "__version__"),
    "children": ("children", "machine.live", "render.document", *LEAVES),
    "commands": (
        "commands", "render", "analysis", "repair", "systems", "machine.model", "machine.dumps.capture",
        "machine.dumps.extents", "machine.dumps.files", "machine.dumps.vmcoreinfo", *ARCH, *LEAVES,
    ),
    "live": (
        "live", "commands", "render", "repair", "analysis", "machine.model", "machine.live", "machine.progress",
        "machine.dumps.files", "machine.open_source", "arch.ARCHITECTURES", *ARCH, *LEAVES,
    ),
    "repl": ("repl", "children", "commands", "render", "machine", "arch.ARCHITECTURES", *MODEL, *LEAVES),
    "mcp": ("mcp", "children.mi", "commands", "machine", *LEAVES),
    # The launcher: it starts the demo, which is the one place where a face calls another.
    "cli": (
        "commands", "render", "machine", "arch.ARCHITECTURES", *MODEL, *LEAVES, "repl.PROMPTS", "repl.start",
        "repl.demo", "shells", "mcp.server",
    ),
    "shells": ("commands", "repl.PROMPTS", "repl.start", "mcp.server", "arch.ARCHITECTURES", *LEAVES),
}  # fmt: skip
# A library, and the only places that may import it.
ONLY: dict[str, tuple[str, ...]] = {
    "gdb": ("live", "gdbinit.d"),
    "pygdbmi": ("children",),
    "prompt_toolkit": ("repl",),
    "elftools": ("machine",),
    "mcp": ("mcp",),
    "tabulate": ("render",),
}
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


@pytest.mark.parametrize("module", [name for name in modules() if name])
def test_no_import_breaks_an_arrow(module: str) -> None:
    assert broken(module, modules()[module].read_text()) == []


@pytest.mark.parametrize("module", [name for name in modules() if name])
def test_nothing_is_spawned_or_touched_at_import(module: str) -> None:
    tree = ast.parse(modules()[module].read_text())
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom | ast.If):
            continue
        for call in (each for each in ast.walk(node) if isinstance(each, ast.Call)):
            called = ast.unparse(call.func)
            assert not called.startswith(AT_IMPORT), f"{module} calls {called} when it is imported"


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("arch.walk", "from gdbtools.machine.model import Machine"),
        ("commands.walk", "import gdb"),
        ("commands.walk", "def f():\n    import gdb"),
        ("render.text", "from gdbtools.arch.model import Walk"),
        ("machine.raw", "from tabulate import tabulate"),
        ("live.guest", "from gdbtools.children.mi import Gdb"),
        ("repl.mi", "from gdbtools.live.guest import LiveGuest"),
        ("arch.model", "from gdbtools.arch.aarch64 import regimes"),
        ("bits", "from gdbtools.errors import Refused"),
    ],
)
def test_a_broken_arrow_is_noticed(module: str, source: str) -> None:
    assert broken(module, source) != []
