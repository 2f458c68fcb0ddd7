"""Source this inside GDB: it registers the `mmu` commands and touches no target.

It finds the package beside itself (a checkout) or around itself (an installed one), and makes the pure-Python
dependencies of that environment importable in whatever Python this GDB embeds, behind everything already there.
"""

import os
import sys
from pathlib import Path


def _places(here: Path) -> list[Path]:
    """Return what to add to sys.path: the package's folder, then the site-packages with its dependencies.

    What a folder holds decides, never its name: a clone is called gdbtools, too.
    """
    root = here.parent
    if not (root / "gdbtools" / "__init__.py").exists():
        return [root.parent]
    # An editable install keeps the dependencies in the environment that is active.
    environments = [root / ".venv", *([Path(os.environ["VIRTUAL_ENV"])] if "VIRTUAL_ENV" in os.environ else [])]
    return [root, *(place for each in environments for place in sorted(each.glob("lib/python3*/site-packages")))]


for _place in _places(Path(__file__).resolve().parent):
    if str(_place) not in sys.path:
        sys.path.append(str(_place))

try:
    from gdbtools.live.commands import register
except ModuleNotFoundError as missing:
    import gdb

    # Written, not raised: GDB 13 shows a traceback of whatever a sourced file raises.
    advice = "run `make demo` in the checkout, or pip install gdbtools"
    gdb.write(f"gdbtools: {missing.name} cannot be imported; {advice}\n", gdb.STDERR)
else:
    register()
