"""Record what real kernels print as they boot, for what must not be taken for a crash.

    python -m tests.guests.boot_logs

And what the line of `gdbtools bundle` writes in a guest of which a process has faulted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from tests.guests.crash_logs import LARGE, LOGS, TRIXIE
from tests.guests.linux import LinuxGuest
from tests.guests.riscv.linux import booted as riscv_linux
from tests.guests.test_bundle import written
from tests.guests.x86.linux import COMMAND_LINES
from tests.guests.x86.linux import booted as x86_linux

BOOTS: Final[Mapping[str, Callable[[], LinuxGuest]]] = {
    "linux-6.12-arm64": TRIXIE.guest,
    "linux-6.12-arm64-16k": LARGE.guest,
    "linux-6.1-x86": lambda: x86_linux(next(iter(COMMAND_LINES))),
    "linux-6.12-riscv": lambda: riscv_linux("Sv57"),
}


def main() -> None:
    for name, guest in BOOTS.items():
        with guest() as booted:
            (LOGS / "boots" / f"{name}.txt").write_text(booted.run("dmesg", 120).replace("\r", "") + "\n")
    (LOGS / "bundle-6.1.txt").write_text(written())


if __name__ == "__main__":
    main()
