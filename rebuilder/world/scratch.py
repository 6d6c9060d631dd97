"""Names of temporary directories that say which process made them, so that a dead one's can be removed.

`rebuilder-<kind>-<pid>.<started>.<space>.<boot>-<random>`: a process id is used again, so the time at which the process
started, the process id namespace and the boot are part of the name.
"""

from __future__ import annotations

import re
from pathlib import Path

START = "rebuilder-"
_PROC = Path("/proc")
_NAME = re.compile(r"rebuilder-[a-z]+-([0-9]{1,10})\.([0-9]{1,20})\.([0-9]{1,20})\.([0-9a-f]{8})-[^-/]+\Z")


def prefix(kind: str) -> str:
    """Begin the name of a directory of this process; `kind` is one lower-case word."""
    pid = own_pid()
    return f"{START}{kind}-{pid}.{start_ticks(pid) or 0}.{_digits(pid_space())}.{boot_id()[:8]}-"


def is_alive(name: str) -> bool | None:
    """Tell whether the process that made a directory still runs; None when its name, or this machine, does not say."""
    match = _NAME.match(name)
    if match is None:
        return None
    pid, started, space, boot = match.groups()
    if boot != boot_id()[:8]:
        return False
    if space != _digits(pid_space()):
        return None
    return start_ticks(int(pid)) == int(started)


def own_pid() -> int:
    """Return this process's id in the namespace that /proc shows."""
    return int((_PROC / "self").readlink().name)


def boot_id() -> str:
    """Name this boot of the kernel."""
    return (_PROC / "sys/kernel/random/boot_id").read_text().strip()


def pid_space() -> str:
    """Name the process id namespace."""
    return str((_PROC / "self/ns/pid").readlink())


def start_ticks(pid: int) -> int | None:
    """Field 22 of /proc/<pid>/stat (proc(5)); None when there is no such process, or only its zombie."""
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


def _digits(space: str) -> str:
    return "".join(char for char in space if char.isdigit())
