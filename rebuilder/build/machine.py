"""What a build runs on, as far as it may shape the bytes."""

from __future__ import annotations

import platform
from pathlib import Path

from rebuilder.build.container import Description, Engine
from rebuilder.build.once import run_once
from rebuilder.model.digest import Digest
from rebuilder.model.rebuild import Machine

_CPUINFO = Path("/proc/cpuinfo")
_KEYS = ("model name", "cpu model", "uarch", "CPU part", "machine", "cpu")


def describe(engine: Engine, image: Digest) -> Machine:
    """Ask the engine, and the processor of the machine that it runs on (in a container, when that is not this one)."""
    found = engine.describe()
    if found.kernel == platform.release():
        text = _CPUINFO.read_text(errors="replace")
    else:
        text = run_once(engine, image, ("cat", str(_CPUINFO)), files={}).output.decode("utf-8", "replace")
    return Machine(kernel=found.kernel, cpu_model=_cpu_model(text), engine=_named(found))


def _named(found: Description) -> str:
    """Name the engine for the signed record, with the limits that it was asked for and does not keep."""
    weakness = f" (not enforced: {', '.join(found.unenforced)})" if found.unenforced else ""
    return f"{found.name} {found.version}{weakness}"


def _cpu_model(text: str) -> str:
    """Read the processor's name from /proc/cpuinfo, whose key depends on the architecture."""
    values: dict[str, str] = {}
    for line in text.splitlines():
        key, separator, value = line.partition(":")
        if separator:
            values.setdefault(key.strip(), value.strip())
    return next((values[key][:200] for key in _KEYS if values.get(key)), platform.machine())
