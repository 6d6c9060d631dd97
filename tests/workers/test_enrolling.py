"""A new machine becomes a worker: by a token from the operator, over the real lease API."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rebuilder.attest.keys import Role
from rebuilder.attest.keystore import ensure_key, load_public_key
from rebuilder.config import FarmSettings, Settings
from rebuilder.errors import ConfigurationError
from rebuilder.model.job import JobKind
from tests.workers.lease.conftest import Office, office
from tests.workers.lease.serving import Served, serving
from workers.enrolling import enrol_here
from workers.lease.protocol import Forbidden

__all__ = ["office"]


@pytest.fixture
def served(office: Office, tmp_path: Path) -> Iterator[Served]:
    """Serve a coordinator, by the clock of this machine."""
    with serving(office, tmp_path) as coordinator:
        yield coordinator


def machine(root: Path, coordinator: str | None) -> Settings:
    """Give a machine of its own."""
    return Settings(
        cache=root / "cache", state=root / "state", results=root / "results", farm=FarmSettings(coordinator=coordinator)
    )


def test_a_machine_enrols_with_a_token(served: Served, tmp_path: Path) -> None:
    """Its key is made and known, and the coordinator's is kept; again with the same token changes nothing."""
    settings, token = machine(tmp_path / "builder", served.base), tmp_path / "token"
    token.write_text(served.token(JobKind.REBUILD, domain="rack-7") + "\n")
    for _ in range(2):
        enrolled = enrol_here(JobKind.REBUILD, settings, token_file=token, name="builder-7")
    assert (enrolled.roles, enrolled.fault_domain) == ((JobKind.REBUILD,), "rack-7")
    assert enrolled.keyid == ensure_key(settings.state, Role.BUILDER).keyid
    assert load_public_key(settings.state / "coordinator.pub") == served.coordinator.public_key
    (worker,) = served.members.every()
    assert (worker.keyid, worker.name) == (enrolled.keyid, "builder-7")


def test_another_machine_cannot_use_the_same_token(served: Served, tmp_path: Path) -> None:
    """A token is good for one key."""
    token = tmp_path / "token"
    token.write_text(served.token(JobKind.REBUILD))
    enrol_here(JobKind.REBUILD, machine(tmp_path / "first", served.base), token_file=token, name="first")
    second = machine(tmp_path / "second", served.base)
    with pytest.raises(Forbidden, match="was used by key"):
        enrol_here(JobKind.REBUILD, second, token_file=token, name="second")
    assert not (second.state / "coordinator.pub").exists()


def test_a_token_for_other_steps_is_named(served: Served, tmp_path: Path) -> None:
    """A worker that would wait for ever for work of another role is told at once."""
    token = tmp_path / "token"
    token.write_text(served.token(JobKind.PUBLISH))
    with pytest.raises(ConfigurationError, match="expected a token for rebuild, found one for publish"):
        enrol_here(JobKind.REBUILD, machine(tmp_path / "builder", served.base), token_file=token, name="builder")


def test_without_a_coordinator_there_is_nobody_to_ask(tmp_path: Path) -> None:
    """The setting that is missing is named."""
    with pytest.raises(ConfigurationError, match=r"farm\.coordinator is not set"):
        enrol_here(JobKind.REBUILD, machine(tmp_path, None), token_file=tmp_path / "token", name="builder")
