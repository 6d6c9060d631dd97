"""The machine itself: interpreter, processor time's clock, memory, disk, and cages for hostile input."""

from __future__ import annotations

import os
import platform
import pwd
import shutil
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rebuilder.config import Settings
from rebuilder.doctor.finding import Condition, Finding
from rebuilder.model.quantity import render_size
from rebuilder.world import process

_GIB = 1024**3
_OLDEST = (3, 11)
_SUBORDINATES = Path("/etc/subuid")
_MEMORY_INFO = Path("/proc/meminfo")
_MAX_CLOCK_LAG = timedelta(days=1)


def examine_machine(settings: Settings, *, now: datetime, data: Path | None = None) -> tuple[Finding, ...]:
    """Look at the machine; `data` is the engine's own directory when that is on this machine."""
    return (
        examine_python(sys.version_info[:2]),
        examine_cages(possible=process.can_cut_network()),
        *(() if os.geteuid() == 0 else (examine_subordinates(pwd.getpwuid(os.geteuid()).pw_name, _SUBORDINATES),)),
        examine_memory(_available_memory(), settings.limits.memory_bytes),
        *_examine_disks(settings, data),
        examine_clock(now, _newest_known()),
    )


def examine_python(version: tuple[int, int]) -> Finding:
    """Judge the interpreter's version."""
    fits = version >= _OLDEST
    return Finding(
        name="python",
        condition=Condition.OK if fits else Condition.MISSING,
        found=f"{platform.python_implementation()} {platform.python_version()}",
        purpose="runs this program",
        remedy=None if fits else "install Python 3.11 or newer",
    )


def examine_cages(*, possible: bool) -> Finding:
    """Judge whether a program can be cut off from the network."""
    return Finding(
        name="cages",
        condition=Condition.OK if possible else Condition.MISSING,
        found="network namespaces can be made" if possible else "network namespaces are refused",
        purpose="programs that read hostile input run without network",
        remedy=None if possible else "allow unprivileged user namespaces to this user, or run as root",
    )


def examine_subordinates(user: str, table: Path) -> Finding:
    """Look for a user's range of subordinate ids (subuid(5)): without root, a bootstrap gives files to owners in it."""
    lines = table.read_text(errors="replace").splitlines() if table.is_file() else []
    there = any(line.split(":")[0] in {user, str(os.geteuid())} for line in lines)
    return Finding(
        name="subordinate ids",
        condition=Condition.OK if there else Condition.MISSING,
        found=f"{user} has a range in {table}" if there else f"{user} has no range in {table}",
        purpose="without root, base images are made in a user namespace",
        remedy=None if there else f"sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user}",
    )


def examine_memory(available_bytes: int | None, wanted_bytes: int) -> Finding:
    """Judge the memory that is free against what a build may take."""
    if available_bytes is None:
        found, condition = "unknown", Condition.WARN
    else:
        found = f"{render_size(available_bytes)} available; a build may take {render_size(wanted_bytes)}"
        condition = Condition.OK if available_bytes >= wanted_bytes else Condition.WARN
    return Finding(
        name="memory",
        condition=condition,
        found=found,
        purpose="a build beyond its limit is ended, and undecided",
        remedy=None if condition is Condition.OK else "close other programs, or lower `limits.memory`",
    )


def examine_disk(name: str, path: Path, purpose: str, *, least_bytes: int, good_bytes: int) -> Finding:
    """Judge a directory (or where it will be made): whether we may write there, and whether there is room."""
    place = next(parent for parent in (path, *path.parents) if parent.exists())
    free_bytes = shutil.disk_usage(place).free
    found = f"{render_size(free_bytes)} free at {path}"
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        return Finding(
            name=name,
            condition=Condition.MISSING,
            found=f"{place} is not writable",
            purpose=purpose,
            remedy=f"name another directory in `rebuilder.toml` ({name})",
        )
    if free_bytes >= good_bytes:
        return Finding(name=name, condition=Condition.OK, found=found, purpose=purpose)
    return Finding(
        name=name,
        condition=Condition.WARN if free_bytes >= least_bytes else Condition.MISSING,
        found=f"{found}; {render_size(good_bytes)} are wanted",
        purpose=purpose,
        remedy="free some space (`rebuilder cache prune` frees ours), or name another directory",
    )


def examine_clock(now: datetime, newest_known: datetime) -> Finding:
    """Judge the clock against the newest file that must be older than now; freshness of indices is judged by it."""
    behind = newest_known - now > _MAX_CLOCK_LAG
    return Finding(
        name="clock",
        condition=Condition.WARN if behind else Condition.OK,
        found=f"{now:%Y-%m-%d %H:%M} UTC" + (f", yet files here are from {newest_known:%Y-%m-%d}" if behind else ""),
        purpose="freshness of signed indices and times in attestations",
        remedy="set the clock" if behind else None,
    )


def _examine_disks(settings: Settings, data: Path | None) -> Iterator[Finding]:
    budget = settings.cache_budget_bytes
    yield examine_disk("cache", settings.cache, "downloads", least_bytes=_GIB, good_bytes=min(budget, 8 * _GIB))
    yield examine_disk("state", settings.state, "keys and the ledger", least_bytes=_GIB // 100, good_bytes=_GIB // 10)
    yield examine_disk("results", settings.results, "what is published", least_bytes=_GIB // 10, good_bytes=_GIB)
    if data is not None and data.is_dir() and os.access(data, os.W_OK):
        purpose = "images and the trees of builds"
        yield examine_disk("engine: disk", data, purpose, least_bytes=2 * _GIB, good_bytes=10 * _GIB)


def _available_memory() -> int | None:
    try:
        lines = _MEMORY_INFO.read_text().splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return int(found[0]) * 1024 if found else None


def _newest_known() -> datetime:
    return datetime.fromtimestamp(Path(__file__).stat().st_mtime, UTC)
