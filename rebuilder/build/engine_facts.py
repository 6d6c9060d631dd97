"""What an engine's answers to `/version` and `/info` say about its limits, and what bounds a build else.

Only a control group bounds memory and processor time, and only who owns one can bound it. An engine without root owns
none on version 1, and on version 2 only what systemd delegated to it. Podman then drops the limits that it is asked
for without a word (seen with 4.3.1 on version 1), so its flags, which tell of the kernel, are not enough.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rebuilder.build.container import Description, Spec

MEMORY, PROCESSES, PROCESSOR = "memory", "processes", "processor time"
_FLAGS = {"MemoryLimit": MEMORY, "PidsLimit": PROCESSES, "CpuCfsQuota": PROCESSOR}


def described(version: Mapping[str, Any], info: Mapping[str, Any]) -> Description:
    """Read both answers."""
    return Description(
        name="podman" if is_podman(version) else "docker",
        version=str(version.get("Version", "")),
        kernel=str(version.get("KernelVersion", "")),
        architecture=str(version.get("Arch", "")),
        rootless=is_rootless(info),
        counts_users=is_rootless(info) and PROCESSES in _without_group(info),
        unenforced=unenforced(info),
    )


def is_podman(version: Mapping[str, Any]) -> bool:
    """Whether the engine is Podman, which names itself as a component or, in newer versions, as the platform."""
    components = version.get("Components") or ()
    names = [str(part.get("Name", "")) for part in components]
    return any("podman" in name.lower() for name in names)


def is_rootless(info: Mapping[str, Any]) -> bool:
    """Whether the engine runs without root, in a user namespace; Podman 4.3 says so elsewhere than Docker."""
    options = info.get("SecurityOptions") or ()
    return info.get("Rootless") is True or any("rootless" in str(option) for option in options)


def unenforced(info: Mapping[str, Any]) -> tuple[str, ...]:
    """Name the limits of a build that nothing keeps. That of processes has a substitute without root: see `ulimits`."""
    without = _without_group(info)
    return tuple(limit for limit in without if limit != PROCESSES) if is_rootless(info) else without


def ulimits(spec: Spec, description: Description) -> Iterator[tuple[str, int, int]]:
    """Yield name, soft and hard value of each limit of the kernel's own (setrlimit(2)).

    Without root, and without a control group that counts processes, a build is bounded by the number of its user's
    processes, builds beside it included. Root in the container is the person outside, who has other processes.
    """
    yield "core", 0, 0
    yield "nofile", 1024, 4096
    if not description.rootless:
        yield "nproc", 16384, 16384
    elif description.counts_users and spec.user.partition(":")[0] != "0":
        yield "nproc", spec.limits.pids, spec.limits.pids


def _without_group(info: Mapping[str, Any]) -> tuple[str, ...]:
    if is_rootless(info) and (info.get("CgroupVersion") != "2" or info.get("CgroupDriver") != "systemd"):
        return tuple(_FLAGS.values())
    return tuple(words for flag, words in _FLAGS.items() if info.get(flag) is False)
