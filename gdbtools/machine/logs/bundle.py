"""What to ask a reporter for: a line of shell, whose output is the log and what else is needed of the same machine.

Each part of it begins with a line `== gdbtools NAME`.  The log is read as any other; beside it stand the width of
physical addresses, and where the kernel's code begins, which is of the crash only where that is of the same boot.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Final

from gdbtools.arch.model import Derived
from gdbtools.systems.crash import Crash

_FILES: Final = (
    "/proc/version",
    "/proc/cmdline",
    "/proc/cpuinfo",
    "/proc/iomem",
    "/sys/kernel/debug/kernel_page_tables",
    "/sys/kernel/debug/page_tables/current_kernel",
)
_OF_THIS_BOOT: Final = "dmesg"
REPORT: Final = "crash-report.txt"
LINE: Final = (
    f'sh -c \'echo "== gdbtools {_OF_THIS_BOOT}"; dmesg; '
    'echo "== gdbtools before"; cat /sys/fs/pstore/*; journalctl -k -b -1 --no-pager; '
    'echo "== gdbtools hypervisor"; xl dmesg; '
    f'for f in {" ".join(_FILES)}; do echo "== gdbtools $f"; cat $f; done; '
    f'echo "== gdbtools symbols"; grep -w _stext /proc/kallsyms\' > {REPORT} 2> /dev/null'
)
TEXT: Final = f"""\
# Ask for the file that this line writes. It is to be run as root, where the crash was, and as soon as that can be;
# what is not there is left out. `gdbtools explain {REPORT}` reads it.
{LINE}
"""
SIGNS: Final = (b"== gdbtools ", b"address sizes", b" T _stext")
_SECTION: Final = re.compile(rf"== gdbtools ({_OF_THIS_BOOT}|before|hypervisor|symbols|/\S+)$")
_WIDTH: Final = re.compile(r"address sizes\s*: (\d{2}) bits physical, \d{2} bits virtual$")
_TEXT: Final = re.compile(r"([0-9a-f]{16}) T _stext$")


@dataclass
class BundleParts:
    """The parts of a report as far as they have been read: where each begins, and what is taken from it."""

    sections: list[tuple[int, str]] = field(default_factory=list)
    physical_bits: int | None = None
    code_at: int | None = None

    def take(self, number: int, line: str) -> None:
        """Look at a line, by its number."""
        if found := _SECTION.match(line):
            self.sections.append((number, found[1]))
        elif not self.sections:
            return
        elif found := _WIDTH.match(line):
            self.physical_bits = int(found[1])
        elif found := _TEXT.match(line):
            # Without the right to see it, it is 0.
            self.code_at = int(found[1], 16) or None

    def added_to(self, crash: Crash) -> Crash:
        """Return a crash with what the other parts say of its machine."""
        part = next((name for number, name in reversed(self.sections) if number < crash.line), "")
        if part == _OF_THIS_BOOT:
            crash = replace(crash, code_at=self.code_at)
        name, bits = crash.width_register, self.physical_bits
        if not part or not name or bits is None or name in crash.stated:
            return crash
        values = {each: value for each, value in crash.deduced.values.items() if each != name}
        assumed = tuple(each for each in crash.deduced.assumed if each.about != name)
        return replace(crash, stated={**crash.stated, name: bits}, deduced=Derived(values, assumed))
