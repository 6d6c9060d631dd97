"""What an engine refuses for a reason of the machine comes with a way out."""

from __future__ import annotations

import docker.errors
import pytest

from rebuilder.build.engine_errors import engine_errors
from rebuilder.errors import EngineFailure


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("crun: cgroups in hybrid mode not supported, drop all controllers from cgroupv2: OCI runtime error", "runc"),
        ("crun: the requested cgroup controller `cpu` is not available: OCI runtime error", "doctor"),
        ("crun: cannot set limits without cgroups: OCI runtime error", "doctor"),
        ("container-init binary not found on the host: stat /usr/bin/catatonit: no such file", "catatonit"),
        ("dial tcp: lookup registry.test: no such host", "could not reach the registry"),
        ("crun: setrlimit `RLIMIT_NPROC`: Operation not permitted: OCI permission denied", "ulimit"),
    ],
)
def test_a_refusal_by_the_machine_has_a_hint(words: str, hint: str) -> None:
    """The engine's own words stay in the message."""
    with (
        pytest.raises(EngineFailure, match="refused starting a container") as caught,
        engine_errors("starting a container"),
    ):
        raise docker.errors.APIError("500", explanation=words)
    assert words[:40] in str(caught.value)
    assert caught.value.hint is not None
    assert hint in caught.value.hint


def test_another_refusal_has_none() -> None:
    """No advice is better than a wrong one."""
    with pytest.raises(EngineFailure) as caught, engine_errors("starting a container"):
        raise docker.errors.APIError("500", explanation="no such image")
    assert caught.value.hint is None
