"""Making the file system of a base image from a lock, bit for bit the same on every machine: mmdebstrap(1).

The installer sees exactly the locked packages, in a local repository of verified bytes, and has no network. What would
depend on the machine or the moment is removed in the end; every modification time is at most the lock's epoch. The
image recipe (recipes/images/debian.toml) says what is written and removed, and why.
"""

from __future__ import annotations

import os
import re
import shlex
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rebuilder.errors import EnvironmentUnavailable, ToolFailure
from rebuilder.model.digest import Digest
from rebuilder.model.plan import ImageLock
from rebuilder.origins.debian.image import installer
from rebuilder.origins.debian.recipe import ImageRecipe, load_image_recipe
from rebuilder.origins.debian.repository import control_fields, write_flat
from rebuilder.world import process
from rebuilder.world.files import storage_errors, verify_digest
from rebuilder.world.scratch import prefix as scratch_prefix

_TIMEOUT_S = 1800
_MEMORY_DISK = Path("/dev/shm")  # noqa: S108 - used only through a private temporary directory
_MEMORY_DISK_NEEDS_BYTES = 3 * 1024**3
_STATUS_LIMIT_BYTES = 64 * 1024**2
_BOUNDARY = re.compile(r"\n\n+")


def bootstrap(lock: ImageLock, debs: Mapping[Digest, Path], target: Path, *, recipe: ImageRecipe | None = None) -> Path:
    """Write the image's file system as a tar to `target` and return it.

    1. The installer is the one that the lock names, for it shapes the bytes.
    2. Every locked package is there, and is the bytes that the lock names.
    3. mmdebstrap installs from a repository of exactly these packages, without network.
    4. What is installed is what the lock says, no more and no less.

    `debs` says where each package's bytes lie. Raise EnvironmentUnavailable when 1 or 4 does not hold, or the bootstrap
    fails, DigestMismatch when 2 does not hold.
    """
    recipe = recipe or load_image_recipe(lock.distribution)
    # 1.
    if installer() != lock.installer:
        raise EnvironmentUnavailable(
            f"the lock was made for {lock.installer}, and here is {installer()}",
            hint="install that version, or make a new lock: another one may write other bytes",
        )
    # 2.
    for package in lock.packages:
        verify_digest(debs[package.digest], package.digest)
    # 3.
    with _workplace() as work, _made_whole(target) as tar:
        write_flat(work / "repository", lock.packages, debs)
        (work / "setup").write_text(_setup_script(recipe, lock.suite))
        (work / "finish").write_text(_finish_script(recipe))
        finished = process.run(
            [*_without_network(), *_command(lock, work, tar)],
            timeout_s=_TIMEOUT_S,
            environment={"SOURCE_DATE_EPOCH": str(lock.epoch), "TMPDIR": str(work), "TZ": "UTC"},
            cwd=work,
        )
        if finished.status != 0:
            raise EnvironmentUnavailable(
                f"bootstrap of {lock.suite} {lock.architecture}: {_last_words(finished.errors)}",
                hint="`rebuilder doctor` says what this machine lacks",
            )
        # 4.
        _verify_installed(tar, lock)
    return target


def _command(lock: ImageLock, work: Path, tar: Path) -> list[str]:
    """`apt` as variant unpacks each package once but the essential ones; it is the fastest that gives this set."""
    names = sorted(package.name for package in lock.packages)
    return [
        "mmdebstrap",
        "--quiet",
        f"--mode={'root' if os.geteuid() == 0 else 'unshare'}",
        "--variant=apt",
        "--format=tar",
        f"--architectures={lock.architecture}",
        "--dpkgopt=force-unsafe-io",
        '--aptopt=Acquire::Languages "none"',
        f"--include={','.join(names)}",
        "--skip=output/dev",
        f'--setup-hook=sh {shlex.quote(str(work / "setup"))} "$1"',
        f'--customize-hook=sh {shlex.quote(str(work / "finish"))} "$1"',
        "",
        str(tar),
        f"deb [trusted=yes] copy:{work}/repository ./",
    ]


def _without_network() -> list[str]:
    """Cut the installer off; without root, in a user namespace with the user's own range of ids (subuid(5))."""
    if os.geteuid() != 0:
        return ["unshare", "--user", "--map-root-user", "--map-auto", "--net", "--"]
    if not process.can_cut_network():
        raise ToolFailure(
            "the bootstrap cannot be cut off from the network here", hint="unshare(1) needs CAP_SYS_ADMIN"
        )
    return ["unshare", "--net", "--"]


def _setup_script(recipe: ImageRecipe, suite: str) -> str:
    lines = ["set -eu", 'cd "$1"']
    for name in recipe.linked(suite):
        lines.append(f"mkdir -p usr/{shlex.quote(name)}")
        lines.append(f"ln -s usr/{shlex.quote(name)} {shlex.quote(name)}")
    return "\n".join([*lines, ""])


def _finish_script(recipe: ImageRecipe) -> str:
    """Everything is quoted. The account is written as a line: useradd(8) is not there, and would note today's date."""
    user = recipe.user
    lines = ["set -eu", "umask 022", 'cd "$1"']
    account = f"{user.id}:{user.id}::/nonexistent:/bin/sh"
    lines += [
        f"printf '%s\\n' {shlex.quote(f'{user.name}:*:{account}')} >>etc/passwd",
        f"printf '%s\\n' {shlex.quote(f'{user.name}:*:{user.id}:')} >>etc/group",
    ]
    for removal in recipe.removals:
        path = shlex.quote(f"./{removal.path}")
        lines.append(f"find {path} -type f -delete" if removal.children else f"rm -f {path}")
    for file in recipe.files:
        path, mode = shlex.quote(f"./{file.path}"), "0755" if file.executable else "0644"
        lines += [
            f"mkdir -p {shlex.quote(str(Path(file.path).parent))}",
            f"printf '%s' {shlex.quote(file.text)} >{path}",
        ]
        lines.append(f"chmod {mode} {path}")
    return "\n".join([*lines, ""])


def _verify_installed(tar: Path, lock: ImageLock) -> None:
    with tarfile.open(tar, "r:") as archive:
        stream = archive.extractfile("./var/lib/dpkg/status")
        text = stream.read(_STATUS_LIMIT_BYTES).decode("utf-8", "replace") if stream else ""
    paragraphs = [control_fields(part.encode()) for part in _BOUNDARY.split(text) if part.strip()]
    installed = {
        (fields.get("Package", ""), fields.get("Version", ""), fields.get("Architecture", ""))
        for fields in paragraphs
        if fields.get("Status") == "install ok installed"
    }
    locked = {(package.name, package.version, package.architecture) for package in lock.packages}
    if installed != locked:
        odd = ", ".join(" ".join(identity) for identity in sorted(installed ^ locked)[:5])
        raise EnvironmentUnavailable(f"the bootstrapped image holds other packages than its lock: {odd}")


@contextmanager
def _made_whole(target: Path) -> Iterator[Path]:
    """Give a name beside the target that takes its place when all went well, and vanishes otherwise."""
    with storage_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".part-{os.getpid()}-{target.name}")
        try:
            yield part
            os.replace(part, target)
        finally:
            part.unlink(missing_ok=True)


@contextmanager
def _workplace() -> Iterator[Path]:
    """Make a private directory, in memory where there is room: half a gigabyte of small files goes there."""
    base = _MEMORY_DISK if _has_room(_MEMORY_DISK) else None
    with tempfile.TemporaryDirectory(prefix=scratch_prefix("image"), dir=base, ignore_cleanup_errors=True) as name:
        if re.search(r"[\s\[\]%#'\"\\]", name):
            raise ToolFailure(
                f"the temporary directory {name} has a name that a sources.list cannot hold", hint="set TMPDIR"
            )
        work = Path(name)
        work.chmod(0o755)
        yield work


def _has_room(directory: Path) -> bool:
    try:
        state = os.statvfs(directory)
    except OSError:
        return False
    unusable = state.f_flag & (os.ST_NOEXEC | os.ST_RDONLY)
    return not unusable and os.access(directory, os.W_OK) and state.f_bavail * state.f_frsize > _MEMORY_DISK_NEEDS_BYTES


def _last_words(errors: bytes) -> str:
    lines = [line for line in errors.decode("utf-8", "replace").splitlines() if line.strip()]
    telling = [line for line in lines if line.startswith(("E: ", "dpkg: error"))] or lines
    return "; ".join(telling[-3:])[:500] or "no message"
