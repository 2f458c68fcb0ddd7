"""Kernels of our own shape: what no distribution ships, and each with its own dump of its page tables.

Built from Debian's source of Linux 6.12 with a cross compiler, once for each configuration.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from gdbtools.errors import Unavailable
from tests.guests.packages import kept, linux_source, once, run

TOOLS = {
    "make": "make",
    "gcc": "gcc",
    "aarch64-linux-gnu-gcc": "gcc-aarch64-linux-gnu",
    "flex": "flex",
    "bison": "bison",
    "bc": "bc",
    "xz": "xz-utils",
}
"""What has to be there to build a kernel, and the packages that have it."""

COMMON = """
EXPERT MULTIUSER PRINTK BINFMT_ELF BINFMT_SCRIPT BLK_DEV_INITRD DEVTMPFS PROC_FS SYSFS SHMEM TMPFS FUTEX POSIX_TIMERS
TTY UNIX98_PTYS ARM_AMBA SERIAL_AMBA_PL011 SERIAL_AMBA_PL011_CONSOLE DEBUG_KERNEL DEBUG_FS DEBUG_FS_ALLOW_ALL
PTDUMP_DEBUGFS PROC_PAGE_MONITOR KALLSYMS KALLSYMS_ALL RANDOMIZE_BASE UNMAP_KERNEL_AT_EL0 TRANSPARENT_HUGEPAGE
TRANSPARENT_HUGEPAGE_ALWAYS HUGETLBFS ARM64_CONTPTE ARM64_HW_AFDBM ARM64_PAN ARM64_POE ARM64_CNP ARM64_E0PD ARM64_EPAN
ARM64_BTI ARM64_PTR_AUTH STRICT_KERNEL_RWX MODULES STRICT_MODULE_RWX BPF_SYSCALL BPF_JIT KEXEC_FILE CRASH_DUMP
"""
"""On top of `allnoconfig`: a serial console, an initramfs, the dump, VMCOREINFO, and what makes tables more varied."""

CONFIGURATIONS = {
    "64k-48": ("ARM64_64K_PAGES", "ARM64_VA_BITS_48"),
    "64k-52": ("ARM64_64K_PAGES", "ARM64_VA_BITS_52", "ARM64_PA_BITS_52"),
    "4k-39": ("ARM64_4K_PAGES", "ARM64_VA_BITS_39"),
}
MINUTES = 60


def _tools() -> None:
    """See that the tools are there, installing them where we may."""
    missing = [package for tool, package in TOOLS.items() if shutil.which(tool) is None]
    if missing and os.geteuid() == 0:
        run(["apt-get", "install", "--yes", "--no-install-recommends", *missing])
    elif missing:
        raise Unavailable(f"building a kernel needs more packages: apt-get install {' '.join(missing)}")


def built(name: str) -> Path:
    """Return the Image of one of `CONFIGURATIONS`, built where it has not been yet; or raise `Unavailable`."""
    return once(_built, name)


def _built(name: str) -> Path:
    fragment = "".join(f"CONFIG_{option}=y\n" for option in (*COMMON.split(), *CONFIGURATIONS[name]))
    digest = hashlib.sha256(fragment.encode()).hexdigest()[:12]

    def build(made: Path) -> None:
        _tools()
        folder = made.with_name("build")
        folder.mkdir()
        (folder / "fragment").write_text(fragment)
        make = ["make", "-C", str(source), f"O={folder}", "ARCH=arm64", "CROSS_COMPILE=aarch64-linux-gnu-", "-s"]
        run([*make, f"KCONFIG_ALLCONFIG={folder / 'fragment'}", "allnoconfig"])
        chosen = (folder / ".config").read_text()
        lacking = [option for option in CONFIGURATIONS[name] if f"CONFIG_{option}=y\n" not in chosen]
        lacking += [option for option in ("PTDUMP_DEBUGFS", "VMCORE_INFO") if f"CONFIG_{option}=y\n" not in chosen]
        if lacking:
            raise Unavailable(f"the kernel's configuration does not take {' '.join(lacking)}")
        run(["nice", *make, f"-j{os.cpu_count()}", "Image"], minutes=MINUTES)
        (folder / "arch/arm64/boot/Image").rename(made)

    source = linux_source()
    return kept(f"kernel-{name}-{digest}", build)
