"""Debian's packages as fixtures: kernels and other QEMUs, fetched once, with nothing of the system's apt touched.

Each pair of a suite and an architecture has an apt state of its own in the cache, on the mirror that the system's apt
uses. What has been unpacked is kept and never asked for again. Whatever goes wrong is one `Unavailable` with the
reason, so that a test can skip with it.
"""

from __future__ import annotations

import fcntl
import gzip
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from gdbtools.children.processes import QEMU, find_qemu
from gdbtools.errors import Unavailable

CACHE = Path(os.environ.get("GDBTOOLS_CACHE") or Path.home() / ".cache" / "gdbtools")
PACKAGES = {
    QEMU: "qemu-system-arm",
    "qemu-system-arm": "qemu-system-arm",
    "qemu-system-riscv64": "qemu-system-riscv",
    "qemu-system-riscv32": "qemu-system-riscv",
    "qemu-system-x86_64": "qemu-system-x86",
}
"""Of each program, the package that has it in `QEMU_SUITES`."""
QEMU_SUITES = ("bookworm-backports", "sid")
KERNELS = {
    "6.1-4k": ("bookworm", "arm64", r"linux-image-6\.1\.[\w.+-]*cloud-arm64-unsigned"),
    "6.12-4k": ("trixie", "arm64", r"linux-image-6\.12\.[\w.+-]*cloud-arm64-unsigned"),
    "6.12-16k": ("trixie", "arm64", r"linux-image-6\.12\.[\w.+-]*arm64-16k-unsigned"),
    "6.1-amd64": ("bookworm", "amd64", r"linux-image-6\.1\.[\w.+-]*cloud-amd64-unsigned"),
    "6.1-amd64-pv": ("bookworm", "amd64", r"linux-image-6\.1\.[\w.+-]*\d-amd64-unsigned"),
    "6.1-armmp": ("bookworm", "armhf", r"linux-image-6\.1\.[\w.+-]*\d-armmp"),
    "6.1-armmp-lpae": ("bookworm", "armhf", r"linux-image-6\.1\.[\w.+-]*\d-armmp-lpae"),
    "6.12-riscv64": ("trixie", "riscv64", r"linux-image-6\.12\.[\w.+-]*\d-riscv64"),
    "7-riscv64": ("sid", "riscv64", r"linux-binary-7\.[\w.+-]*\d-riscv64"),
}
"""Of each, the suite, the architecture and the package; the ABI number is part of its name, and the newest is taken."""

FIRMWARE = {
    "u-boot-2023.01": ("bookworm", "u-boot-qemu", "usr/lib/u-boot/qemu_arm64/u-boot.bin"),
    "u-boot-2025.01": ("trixie", "u-boot-qemu", "usr/lib/u-boot/qemu_arm64/u-boot.bin"),
    "tf-a-2.12": ("trixie", "arm-trusted-firmware", "usr/lib/arm-trusted-firmware/rpi4/bl31.bin"),
    "op-tee-4.5": ("trixie", "optee-os", "usr/lib/optee/vexpress-qemu_armv8a/tee-pager_v2.bin"),
    "edk2-2022.11-aarch64": ("bookworm", "qemu-efi-aarch64", "usr/share/qemu-efi-aarch64/QEMU_EFI.fd"),
    "edk2-2022.11-x86": ("bookworm", "ovmf", "usr/share/OVMF/OVMF_CODE_4M.fd"),
    "edk2-2022.11-x86-variables": ("bookworm", "ovmf", "usr/share/OVMF/OVMF_VARS_4M.fd"),
}
"""Of each, the suite, the package for arm64 or all architectures, and the file in it."""

XENS = {"4.17": "bookworm", "4.20": "trixie"}
"""Of each version of Xen, the suite that has it."""


@dataclass(frozen=True)
class Qemu:
    """A QEMU that can be run: `[*command, "-M", "virt", ...]`."""

    name: str
    version: str
    command: tuple[str, ...]


@dataclass(frozen=True)
class Suite:
    """A suite of the mirror for one architecture, as a private apt sees it."""

    name: str
    architecture: str

    @property
    def _folder(self) -> Path:
        return CACHE / "apt" / f"{self.name}-{self.architecture}"

    def _apt(self, program: str, *arguments: str, cwd: Path | None = None) -> str:
        state = self._folder
        options = {
            "Dir::State": state,
            "Dir::State::status": state / "status",
            "Dir::Cache": state / "cache",
            "Dir::Etc::sourcelist": state / "sources.list",
            "Dir::Etc::sourceparts": "-",
            "APT::Architecture": self.architecture,
            "APT::Architectures": self.architecture,
            "APT::Default-Release": self.name,
            "APT::Sandbox::User": "root",
            "APT::Install-Recommends": "false",
            "Acquire::Languages": "none",
            "Acquire::http::Timeout": 20,
        }
        given = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        return run([program, *given, "-qq", *arguments], cwd)

    def _update(self) -> None:
        """Fetch the lists; an interrupted first time leaves no sources.list that would pass for a whole one."""
        state = self._folder
        for folder in (state / "lists" / "partial", state / "cache" / "archives" / "partial"):
            folder.mkdir(parents=True, exist_ok=True)
        (state / "status").touch()
        needed = dict.fromkeys((self.name.removesuffix("-backports"), self.name))
        sources = state / "sources.list"
        sources.write_text("".join(f"deb {mirror()} {suite} main\n" for suite in needed))
        try:
            self._apt("apt-get", "--error-on=any", "update")
        except Unavailable:
            sources.unlink()
            raise

    def _lists(self) -> None:
        if not (self._folder / "sources.list").exists():
            self._update()

    def newest(self, pattern: str) -> str:
        """Return the package whose whole name matches, the one with the largest numbers in it."""
        self._lists()
        names = self._apt("apt-cache", "pkgnames").split()
        found = [name for name in names if re.fullmatch(pattern, name)]
        if not found:
            raise Unavailable(f"{self.name} has no package {pattern} for {self.architecture}")
        return max(found, key=lambda name: [int(number) for number in re.findall(r"\d+", name)])

    def download(self, package: str, folder: Path, with_dependencies: bool = False) -> list[Path]:
        """Put a package's .deb into `folder`; lists that have grown old are fetched again."""
        (folder / "partial").mkdir(parents=True)

        def fetch() -> None:
            if with_dependencies:
                archives = ("-o", f"Dir::Cache::archives={folder}")
                self._apt("apt-get", *archives, "install", "--yes", "--download-only", package)
            else:
                self._apt("apt-get", "download", package, cwd=folder)

        self._lists()
        try:
            fetch()
        except Unavailable:
            self._update()
            fetch()
        return sorted(folder.glob("*.deb"))


def run(command: list[str], cwd: Path | None = None, minutes: int = 15) -> str:
    """Run a program and give what it prints; however it fails, raise `Unavailable` with what it said of it."""
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            capture_output=True,
            text=True,
            check=True,
            timeout=60 * minutes,
            env={**os.environ, "LC_ALL": "C"},
        )
    except FileNotFoundError:
        raise Unavailable(f"{command[0]} is not installed: packages can be had on Debian and Ubuntu only") from None
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{command[0]} did not end within {minutes} minutes") from None
    except subprocess.CalledProcessError as failed:
        said = (failed.stderr.strip() or failed.stdout.strip()).splitlines()
        # Of apt's complaints the first is the cause; of a compiler's errors, too.
        why = next((line for line in said if re.search(r"^[EW]: |error:", line)), said[-1] if said else "")
        raise Unavailable(f"{command[0]} failed with {failed.returncode}: {why}") from None
    return done.stdout


@cache
def mirror() -> str:
    """Return the Debian mirror that the system's own apt uses."""
    said = run(["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"])
    for each in said.splitlines():
        if re.search(r"/debian/?$", each):
            return each
    raise Unavailable("the system's apt has no Debian mirror among its sources, so no guest's packages can be had")


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def kept(name: str, make: Callable[[Path], object]) -> Path:
    """Return what `make` puts at a path, made once: it appears under its name only when it is whole.

    `make` may keep other things beside that path until then, and must not call `kept`.
    """
    wanted = CACHE / name
    if wanted.exists():
        return wanted
    with _one_at_a_time():
        if not wanted.exists():
            for left_over in CACHE.glob("unpacking-*"):
                shutil.rmtree(left_over)
            with tempfile.TemporaryDirectory(dir=CACHE, prefix="unpacking-") as folder:
                made = Path(folder) / "made"
                make(made)
                made.rename(wanted)
    return wanted


def _unpack(suite: Suite, package: str, made: Path, with_dependencies: bool = False) -> None:
    archives = made.with_name("archives")
    for deb in suite.download(package, archives, with_dependencies):
        run(["dpkg", "-x", str(deb), str(made)])
    shutil.rmtree(archives)


def _one_file(suite: Suite, pattern: str, inside: str, made: Path) -> None:
    """Keep one file of a package: the modules of a kernel are ten times its size."""
    whole = made.with_name("whole")
    package = suite.newest(pattern)
    _unpack(suite, package, whole)
    found = [path for path in whole.glob(inside) if path.is_file()]
    if len(found) != 1:
        raise Unavailable(f"{package} of {suite.name} has {len(found)} files {inside}, and one was expected")
    found[0].rename(made)


@cache
def _remembered(get: Callable[..., Path], *arguments: str) -> Path | Unavailable:
    try:
        return get(*arguments)
    except Unavailable as why:
        return why
    except OSError as why:
        return Unavailable(f"the cache {CACHE} cannot be used (GDBTOOLS_CACHE chooses another): {why}")


def once(get: Callable[..., Path], *arguments: str) -> Path:
    """Return `get(*arguments)`, or raise the `Unavailable` that it raised, however often it is asked for in a run."""
    found = _remembered(get, *arguments)
    if isinstance(found, Unavailable):
        raise found
    return found


def _kernel(name: str) -> Path:
    suite, architecture, pattern = KERNELS[name]
    return kept(f"kernel-{name}", lambda made: _one_file(Suite(suite, architecture), pattern, "**/vmlinu*", made))


def kernel(name: str) -> Path:
    """Return a kernel of `KERNELS`, or raise `Unavailable`."""
    return once(_kernel, name)


def _module(name: str, module: str) -> Path:
    suite, architecture, pattern = KERNELS[name]
    inside = f"lib/modules/*/kernel/**/{module}.ko"
    return kept(f"module-{name}-{module}.ko", lambda made: _one_file(Suite(suite, architecture), pattern, inside, made))


def kernel_module(name: str, module: str) -> Path:
    """Return a module of a kernel of `KERNELS`, or raise `Unavailable`."""
    return once(_module, name, module)


def _xen(architecture: str, version: str) -> Path:
    suite = Suite(XENS[version], architecture)
    package = rf"xen-hypervisor-{re.escape(version)}-{architecture}"

    def unpack(made: Path) -> None:
        packed = made.with_name("packed")
        _one_file(suite, package, f"boot/xen-{version}-amd64.gz", packed)
        made.write_bytes(gzip.decompress(packed.read_bytes()))

    if architecture == "amd64":
        return kept(f"xen-{version}-amd64", unpack)
    return kept(f"xen-{version}", lambda made: _one_file(suite, package, "boot/xen-*-arm64", made))


def xen(architecture: str = "arm64", version: str = "4.17") -> Path:
    """Return a Xen of `XENS`, or raise `Unavailable`."""
    return once(_xen, architecture, version)


def _firmware(name: str) -> Path:
    suite, package, inside = FIRMWARE[name]
    return kept(f"firmware-{name}", lambda made: _one_file(Suite(suite, "arm64"), re.escape(package), inside, made))


def firmware(name: str) -> Path:
    """Return a part of `FIRMWARE`, or raise `Unavailable`."""
    return once(_firmware, name)


def _busybox(architecture: str) -> Path:
    suite = Suite("bookworm" if architecture == "arm64" else "trixie", architecture)
    return kept(f"busybox-{architecture}", lambda made: _one_file(suite, "busybox-static", "**/bin/busybox", made))


def busybox(architecture: str = "arm64") -> Path:
    """Return a busybox that needs no library, or raise `Unavailable`."""
    return once(_busybox, architecture)


def _source() -> Path:
    def unpack(made: Path) -> None:
        packed = made.with_name("packed")
        _one_file(Suite("trixie", "arm64"), "linux-source-6\\.12", "usr/src/linux-source-*.tar.xz", packed)
        made.mkdir()
        run(["tar", "-xJf", str(packed), "-C", str(made), "--strip-components=1"])

    return kept("linux-source-6.12", unpack)


def linux_source() -> Path:
    """Return the tree of Linux 6.12 as Debian has it, or raise `Unavailable`."""
    return once(_source)


def _alone(program: Path) -> None:
    """Have an unpacked QEMU look for modules nowhere but where QEMU_MODULE_DIR says.

    The folder that it was built for is the system's QEMU's here, and a module of another build ends it.
    """
    data = program.read_bytes()
    changed, count = re.subn(rb"\0/usr/lib(/[\w-]+-linux-gnu\w*/qemu\0)", rb"\0/nowhere\1", data)
    if count != 1:
        raise Unavailable(f"{program.name} has its modules' folder {count} times in it, and once was expected")
    program.write_bytes(changed)


def _tree(suite: str, package: str) -> Path:
    host = Suite(suite, run(["dpkg", "--print-architecture"]).strip())

    def make(made: Path) -> None:
        _unpack(host, package, made, with_dependencies=True)
        for program, where in PACKAGES.items():
            if where == package:
                _alone(made / "usr/bin" / program)

    name = f"qemu-{suite}-alone" if package == PACKAGES[QEMU] else f"{package}-{suite}-alone"
    return kept(name, make)


def _version(command: tuple[str, ...]) -> str:
    said = run([*command, "--version"])
    found = re.search(r"version (\S+)", said)
    return found.group(1) if found else "of unknown version"


def _system(program: str) -> str:
    if program == QEMU:
        return find_qemu()
    found = shutil.which(program)
    if found is None:
        # Whichever package has it provides it by this name.
        raise Unavailable(f"{program} is not installed; on Debian and Ubuntu: apt-get install {program}")
    return found


def qemu(name: str, program: str = QEMU) -> Qemu:
    """Return the `system`'s QEMU or one of `QEMU_SUITES`, or raise `Unavailable`.

    One from a suite runs with that suite's own loader, libraries and modules: a newer one needs a newer C library than
    ours.
    """
    if name == "system":
        command: tuple[str, ...] = (_system(program),)
        return Qemu(name, _version(command), command)
    root = once(_tree, name, PACKAGES[program])
    loaders = sorted(path for path in root.rglob("ld-linux-*.so.*") if path.is_file())
    if not loaders:
        raise Unavailable(f"{PACKAGES[program]} of {name} came without a loader")
    libraries = [str(path) for path in sorted(root.glob("**/*-linux-gnu")) if path.parent.name == "lib"]
    modules = [str(path) for path in sorted(root.glob("usr/lib/*/qemu"))]
    apart = ("env", f"QEMU_MODULE_DIR={modules[0] if modules else root}")
    program = (*apart, str(loaders[0]), "--library-path", ":".join(libraries), str(root / "usr/bin" / program))
    return Qemu(name, _version(program), (*program, "-L", str(root / "usr/share/qemu")))
