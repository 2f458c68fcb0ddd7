"""`make linux`: put a Debian kernel for arm64, and a shell for it, into a folder, to try gdbtools on."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from gdbtools.errors import Unavailable
from tests.guests.linux import INIT, initramfs
from tests.guests.packages import KERNELS, kernel

BUSY = (
    INIT.partition("while read")[0]
    + """while true; do
    ls -lR /proc/self | md5sum > /dev/null
done
"""
)
"""Nobody types here: it starts processes and ends them, which is demand paging, copy-on-write and system calls."""


def main(folder: Path, name: str) -> int:
    """Write `Image` and `initrd`; gives the exit status, 3 where the packages cannot be had."""
    try:
        image, shell = kernel(name), initramfs(init=BUSY)
    except Unavailable as missing:
        print(f"no Debian kernel: {missing}", file=sys.stderr)
        return 3
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(image, folder / "Image")
    (folder / "initrd").write_bytes(shell)
    print(f"{folder}/Image is Debian's Linux {name.partition('-')[0]} for arm64, {folder}/initrd keeps it busy")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else next(iter(KERNELS))))
