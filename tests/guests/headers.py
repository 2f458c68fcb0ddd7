"""Linux's own headers for arm64: encodings and constants that others wrote, to hold ours against."""

from __future__ import annotations

import shutil
from pathlib import Path

from gdbtools.errors import Unavailable
from tests.guests.packages import Suite, kept, once, run

PACKAGES = {
    r"linux-headers-\d[\w.+-]*-common": ("sysreg.h", "esr.h", "brk-imm.h", "kvm_arm.h"),
    r"linux-headers-\d[\w.+-]*-cloud-arm64": ("sysreg-defs.h",),
}
"""Of sid: each package, and the headers of the kernel's arch/arm64/include that are kept of it."""


def _keep(made: Path) -> None:
    suite = Suite("sid", "arm64")
    made.mkdir()
    for each, (pattern, headers) in enumerate(PACKAGES.items()):
        package = suite.newest(pattern)
        archives, whole = made.with_name(f"archives-{each}"), made.with_name(f"whole-{each}")
        for deb in suite.download(package, archives):
            run(["dpkg", "-x", str(deb), str(whole)])
        for header in headers:
            found = [path for path in whole.glob(f"usr/src/*/arch/arm64/include/**/asm/{header}") if path.is_file()]
            found = [path for path in found if "uapi" not in path.parts]
            if len(found) != 1:
                raise Unavailable(f"{package} of {suite.name} has {len(found)} headers {header}, and one was expected")
            shutil.copy(found[0], made / header)
        (made / f"package-{each}").write_text(package + "\n")


def _headers() -> Path:
    return kept("linux-headers-arm64", _keep)


def kernel_headers() -> Path:
    """Return a folder with sysreg-defs.h, sysreg.h, esr.h, brk-imm.h and kvm_arm.h, or raise `Unavailable`."""
    return once(_headers)
