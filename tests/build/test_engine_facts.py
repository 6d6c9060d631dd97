"""Which limits an engine keeps is read from its own answers, and what it drops in silence is known."""

from __future__ import annotations

from typing import Any

import pytest

from rebuilder.build.container import Description, Spec
from rebuilder.build.engine_facts import MEMORY, PROCESSES, PROCESSOR, described, ulimits
from rebuilder.model.digest import Digest
from rebuilder.model.plan import Limits

PODMAN = {"Components": [{"Name": "Podman Engine"}], "Version": "4.3.1", "KernelVersion": "6.1", "Arch": "amd64"}
KEPT = {"MemoryLimit": True, "PidsLimit": True, "CpuCfsQuota": True, "SecurityOptions": ["name=seccomp"]}
ROOTLESS = {**KEPT, "SecurityOptions": ["name=seccomp", "name=rootless"]}


def engine(info: dict[str, Any]) -> Description:
    """Describe Podman by these answers."""
    return described(PODMAN, info)


def nproc(info: dict[str, Any], user: str) -> int | None:
    """Limit of a user's processes in a container."""
    spec = Spec(image=Digest.of(b""), command=("true",), user=user, limits=Limits(pids=40))
    return {name: hard for name, _, hard in ulimits(spec, engine(info))}.get("nproc")


def test_an_engine_of_root_keeps_all_limits() -> None:
    """Name and version are the engine's own; nothing is unenforced."""
    found = engine({**KEPT, "CgroupVersion": "1", "CgroupDriver": "cgroupfs"})
    assert (found.name, found.version, found.rootless, found.unenforced) == ("podman", "4.3.1", False, ())
    assert nproc({**KEPT, "CgroupVersion": "1"}, "1000:1000") == 16384


def test_a_controller_that_the_kernel_lacks_is_named() -> None:
    """What the engine itself says that it cannot limit is believed."""
    assert engine({**KEPT, "PidsLimit": False, "MemoryLimit": False}).unenforced == (MEMORY, PROCESSES)


@pytest.mark.parametrize(("version", "driver"), [("1", "cgroupfs"), ("1", "systemd"), ("2", "cgroupfs"), ("2", "none")])
def test_without_root_limits_need_a_delegated_group(version: str, driver: str) -> None:
    """Without one, memory and processor time are not bounded, whatever the flags say; processes are, by their user."""
    info = {**ROOTLESS, "CgroupVersion": version, "CgroupDriver": driver}
    found = engine(info)
    assert (found.rootless, found.counts_users, found.unenforced) == (True, True, (MEMORY, PROCESSOR))
    assert nproc(info, "1000:1000") == 40
    assert nproc(info, "0:0") is None


def test_without_root_a_delegated_group_keeps_all_limits() -> None:
    """Version 2 under systemd: nothing is unenforced, and no limit of the user's own is raised or lowered."""
    info = {**ROOTLESS, "CgroupVersion": "2", "CgroupDriver": "systemd"}
    assert (engine(info).counts_users, engine(info).unenforced) == (False, ())
    assert nproc(info, "1000:1000") is None
