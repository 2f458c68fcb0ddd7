"""Who may import whom: design.md's arrows as data. The first arrow that breaks one fails."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "gdbtools"

# A folder (or a file of the top level) and what it may import of gdbtools; the longest prefix of a module decides.
ALLOWED: dict[str, tuple[str, ...]] = {
    "bits": (),
    "errors": (),
    "numbers": ("errors",),
    "spelling": (),
    "printable": (),
    "places": ("errors",),
    "arch.model": ("bits",),
    "arch.borrowing": ("arch.model",),
    "arch.recent": (),
    "arch.roots": ("arch.model",),
    "arch.isolation": ("arch.model",),
    "arch.architecture": ("arch.borrowing", "arch.isolation", "arch.model", "arch.recent", "arch.roots", "bits"),
    "arch.walk": ("arch.model", "errors"),
    "arch.scan": ("arch.model", "arch.walk", "errors"),
    "arch.remembered": ("arch.architecture", "arch.model", "errors"),
    "arch.aarch64": (
        "arch.aarch64", "arch.architecture", "arch.borrowing", "arch.isolation", "arch.model", "arch.recent",
        "arch.roots", "bits", "errors",
    ),
    "arch": ("arch",),
    "machine": (
        "machine", "arch.architecture", "arch.model", "arch.ARCHITECTURES", "bits", "errors", "numbers", "spelling",
        "__version__",
    ),
    "analysis": (
        "analysis", "arch.architecture", "arch.borrowing", "arch.isolation", "arch.model", "arch.recent", "arch.roots",
        "arch.walk", "arch.scan", "bits", "errors",
    ),
    "repair": (
        "repair", "analysis", "machine.model", "arch.architecture", "arch.borrowing", "arch.model", "arch.walk",
        "arch.scan", "bits", "errors",
    ),
    "render": ("render", "printable", "__version__"),
    "commands": (
        "commands", "render", "analysis", "repair", "machine.model", "machine.capture", "machine.extents",
        "machine.files", "machine.vmcoreinfo", "arch.architecture", "arch.borrowing", "arch.isolation", "arch.model",
        "arch.remembered", "arch.roots", "arch.walk", "arch.scan", "bits", "errors", "numbers", "spelling",
    ),
    "live": (
        "live", "commands", "render", "repair", "analysis", "machine.model", "machine.qemu_ram", "machine.gdbstub",
        "machine.process", "machine.progress", "machine.files", "machine.open_source", "arch.architecture",
        "arch.model", "arch.ARCHITECTURES", "bits", "errors", "numbers", "printable", "spelling",
    ),
    "repl": (
        "repl", "commands", "render", "machine", "arch.architecture", "arch.model", "arch.ARCHITECTURES", "bits",
        "errors", "printable", "numbers", "spelling", "places",
    ),
    # The launcher: it starts the demo, which is the one place where a face calls another.
    "cli": (
        "commands", "render", "machine", "arch.model", "arch.ARCHITECTURES", "errors", "printable", "numbers",
        "spelling", "places", "__version__", "repl.PROMPTS", "repl.demo", "repl.mcp_server", "repl.shells",
        "repl.start",
    ),
}  # fmt: skip
# A library, and the only places that may import it.
ONLY: dict[str, tuple[str, ...]] = {
    "gdb": ("live", "gdbinit.d"),
    "pygdbmi": ("repl",),
    "prompt_toolkit": ("repl",),
    "elftools": ("machine",),
    "tabulate": ("render",),
}
AT_IMPORT = ("subprocess", "os.system", "gdb.execute", "socket")


def modules() -> dict[str, Path]:
    """Give every module of the package by its name within it."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(source: str) -> set[str]:
    """Give what a module imports, anywhere in it: `a.b` for `import a.b`, `a.b.c` for `from a.b import c`."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def broken(module: str, source: str) -> list[str]:
    """Say which imports of a module break a rule."""
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
        ("live.guest", "from gdbtools.repl.mi import Gdb"),
        ("repl.mi", "from gdbtools.live.guest import LiveGuest"),
        ("arch.model", "from gdbtools.arch.aarch64 import regimes"),
        ("bits", "from gdbtools.errors import Refused"),
    ],
)
def test_a_broken_arrow_is_noticed(module: str, source: str) -> None:
    assert broken(module, source) != []
