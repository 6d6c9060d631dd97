"""Installing packages, offline, on top of an image; the result is exactly what was there plus these packages."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from rebuilder.build.container import LABEL, PREPARED_LABEL, Container, Engine, Mount, Spec, Tmpfs
from rebuilder.build.install_script import AFTER, APT_CONFIGURATION, BEFORE, CAPABILITIES, SCRIPT, SOURCES
from rebuilder.build.once import INPUT, fill
from rebuilder.build.streams import Collector
from rebuilder.errors import (
    DependencyUnavailable,
    DigestMismatch,
    EnvironmentUnavailable,
    HostileInput,
    ResourceExhausted,
    WorldError,
)
from rebuilder.model.digest import Digest
from rebuilder.model.plan import Limits, Package
from rebuilder.world import files

Repository = Callable[[tuple[Package, ...]], Mapping[str, bytes | Path]]
"""Gives the files of a flat apt repository, by relative path: `Packages`, and each package under its file name."""

_LIMITS = Limits(memory_bytes=4 * 1024**3, pids=1024, wall_s=3600)
_SCRATCH = tuple(
    Tmpfs(path=path, size_bytes=1024**3, executable=True)
    for path in ("/tmp", "/var/tmp", "/run")  # noqa: S108 - inside the container
)
_LOG_LIMIT_BYTES = 16 * 1024**2
_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]{0,200}")
_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+:~-]{0,200}")
_ARCHITECTURE = re.compile(r"[a-z0-9][a-z0-9-]{0,60}")
_UNSATISFIED = re.compile(
    r"unmet dependencies|held broken packages|Unable to locate package|was not found|no installation candidate"
    r"|Unable to satisfy|Packages need to be removed but remove is disabled"
)

InstalledSet = Mapping[tuple[str, str], str]
"""Version of each installed (name, architecture)."""


def install(
    engine: Engine, below: Digest, packages: tuple[Package, ...], repository: Repository, *, name: str
) -> Digest:
    """Install exactly these packages on top of the image `below`, commit it as `rebuilder/<name>`, return its id.

    Times of what the installation makes are those of the image `below`. Raise DigestMismatch for a file that is not the
    one named, HostileInput for absurd names, DependencyUnavailable when apt cannot satisfy the set,
    EnvironmentUnavailable when a maintainer script fails or the result is not exact, ResourceExhausted.
    """
    record = engine.image(below)
    if record is None:
        raise EnvironmentUnavailable(f"image {below} is not in the engine", hint="`rebuilder image build` makes it")
    inputs = _inputs(tuple(sorted(packages, key=lambda package: (package.name, package.architecture))), repository)
    environment = (
        ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
        ("LC_ALL", "C.UTF-8"),
        ("EPOCH", str(int(record.made_at.timestamp()))),
    )
    with engine.volume() as volume:
        fill(engine, below, volume, inputs)
        spec = Spec(
            image=below,
            command=("/bin/sh", f"{INPUT}/install.sh"),
            environment=environment,
            mounts=(Mount(volume=volume, path=INPUT),),
            tmpfs=_SCRATCH,
            capabilities=CAPABILITIES,
            read_only=False,
            limits=_LIMITS,
        )
        with engine.container(spec) as container:
            before, after = _run(container, len(packages))
            _verify_set(before, after, packages)
            return container.commit({PREPARED_LABEL: name, f"{LABEL}.below": str(below)}, tag=f"rebuilder/{name}")


def _inputs(packages: tuple[Package, ...], repository: Repository) -> dict[str, bytes | Path]:
    names = [_checked(package) for package in packages]
    offered = repository(packages)
    for package in packages:
        content = offered.get(package.filename)
        if content is None:
            raise DependencyUnavailable(f"package file {package.filename} is not in the local repository")
        found = Digest.of(content) if isinstance(content, bytes) else files.digest_of(content)
        if found != package.digest:
            raise DigestMismatch(
                f"{package.filename}: expected {package.digest}, found {found}",
                hint="the cache holds other bytes than were signed for; `rebuilder cache clear` forgets them",
            )
    return {
        **{f"repo/{name}": content for name, content in offered.items()},
        "packages": "".join(f"{name}\n" for name in names).encode(),
        "sources.list": SOURCES.encode(),
        "apt.conf": APT_CONFIGURATION.encode(),
        "install.sh": SCRIPT.encode(),
    }


def _checked(package: Package) -> str:
    """Name a package as apt does, exactly; raise HostileInput for what could be anything else in a command."""
    for pattern, text in (
        (_NAME, package.name),
        (_VERSION, package.version),
        (_ARCHITECTURE, package.architecture),
    ):
        if not pattern.fullmatch(text):
            raise HostileInput(f"not a package name, version or architecture: {text[:80]!r}")
    if "/" in package.filename or package.filename.startswith("."):
        raise HostileInput(f"not a plain file name: {package.filename[:80]!r}")
    qualifier = "" if package.architecture == "all" else f":{package.architecture}"
    return f"{package.name}{qualifier}={package.version}"


def _run(container: Container, count: int) -> tuple[InstalledSet, InstalledSet]:
    collector = Collector(container.start(), limit_bytes=_LOG_LIMIT_BYTES)
    state = container.wait(_LIMITS.wall_s)
    if state is None:
        raise EnvironmentUnavailable(f"installing {count} packages took more than {_LIMITS.wall_s} s")
    if state.memory_exhausted:
        raise ResourceExhausted(f"installing {count} packages needed more than {_LIMITS.memory_bytes} bytes of memory")
    output, errors = collector.result()
    if state.status != 0:
        raise _failure(errors.decode("utf-8", "replace"), state.status)
    before, _, after = output.partition(AFTER)
    return _parse_list(before.partition(BEFORE)[2]), _parse_list(after)


def _failure(log: str, status: int) -> WorldError:
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    telling = [line for line in lines if line.startswith(("E:", "dpkg: error", "Err:"))] or lines[-1:] or ["no message"]
    words = f"installing the build environment failed (status {status}): {telling[0][:300]}"
    if "No space left on device" in log:
        return ResourceExhausted(
            f"the engine's disk is full: {words}", hint="`rebuilder cache prune`, or a bigger disk"
        )
    if _UNSATISFIED.search(log):
        return DependencyUnavailable(words)
    return EnvironmentUnavailable(words)


def _parse_list(text: bytes) -> InstalledSet:
    """Read dpkg-query's lines `name version architecture status`; raise EnvironmentUnavailable for a broken package."""
    found = {}
    for line in text.decode("utf-8", "replace").splitlines():
        fields = line.split()
        if not fields:
            continue
        if len(fields) != 4 or fields[3] not in {"ii", "hi"}:
            raise EnvironmentUnavailable(f"a package is not properly installed: {line[:200]!r}")
        found[fields[0], fields[2]] = fields[1]
    return found


def _verify_set(before: InstalledSet, after: InstalledSet, packages: tuple[Package, ...]) -> None:
    """Raise EnvironmentUnavailable unless `after` is `before` with the packages on top."""
    expected = {**before, **{(package.name, package.architecture): package.version for package in packages}}
    missing = sorted(_shown(name, version) for name, version in expected.items() if after.get(name) != version)
    extra = sorted(_shown(name, version) for name, version in after.items() if expected.get(name) != version)
    if missing or extra:
        raise EnvironmentUnavailable(
            f"the environment is not exact: {len(missing)} packages missing ({', '.join(missing[:5])}), "
            f"{len(extra)} too many ({', '.join(extra[:5])})"
        )


def _shown(name: tuple[str, str], version: str) -> str:
    return f"{name[0]}:{name[1]} {version}"
