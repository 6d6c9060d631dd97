"""The farm and the command line write the same canonical documents about the same releases, times aside."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from rebuilder.build.engine import DockerEngine
from rebuilder.config import FarmSettings, Settings
from rebuilder.model.job import CaseState, JobKind, JobState, NewJob, Purpose
from rebuilder.progress import Silent
from rebuilder.store.jobs import Selection
from rebuilder.world.http import HttpFetcher
from tests.archive.server import Fault, Loopback
from tests.end_to_end.conftest import MakePerson
from tests.end_to_end.person import Person
from workers.farm import Farm, Machine

_TIMES = {"concluded_at", "started_at", "finished_at", "log"}
"""Members that hold a time, or the digest of a build log, which dates its lines."""


class Clock:
    """The coordinator's clock: a test lets hours pass, for what is tried again later."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        """Tell the time."""
        return datetime.now(UTC) + self.ahead


def work(settings: Settings, clock: Clock, *names: str) -> Farm:
    """Owe these targets to a farm of this machine, and have everything done that follows, however late."""
    machine = Machine(
        settings=settings,
        fetcher=HttpFetcher(),
        engine=lambda: DockerEngine(settings.engine),
        progress=Silent(),
        now=clock,
        tags=("amd64",),
    )
    farm = Farm(machine)
    jobs = farm.coordinator.bureau.jobs
    jobs.add((plan(name) for name in names), clock())
    for _ in range(20):
        farm.work()
        if not jobs.find(Selection(state=JobState.WAITING)):
            return farm
        clock.ahead += timedelta(hours=7)
    raise AssertionError([job.message for job in jobs.find(Selection(state=JobState.WAITING))])


def plan(name: str) -> NewJob:
    """Owe the plan of a sample."""
    target = f"pkg:deb/debian/{name}?arch=source&distro=trixie"
    return NewJob(kind=JobKind.PLAN, target=target, suite="trixie", name=name, purpose=Purpose.BY_HAND)


def _lines(path: Path) -> list[str]:
    """Write a document line by line, so that a difference is seen at once."""
    return json.dumps(_timeless(json.loads(path.read_bytes())), indent=1, sort_keys=True).splitlines()


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        if str(value.get("filename", "")).endswith((".buildinfo", ".changes")):
            return value["filename"]  # one holds the date of the build, the other the digest of the first
        return {key: _timeless(each) for key, each in value.items() if key not in _TIMES}
    if isinstance(value, list):
        return [_timeless(each) for each in value]
    return value


def paths_only(results: Path) -> set[str]:
    """Name every published file, but for those that are named by what a build gave."""
    found = (path.relative_to(results) for path in results.rglob("*") if path.is_file())
    return {path.as_posix() for path in found if path.parts[0] not in {"by-digest", "blobs"}}


@pytest.mark.slow
def test_the_farm_writes_what_the_command_line_writes(make_person: MakePerson, mirror: Loopback) -> None:
    """Reproduced, different, nondeterministic and without its source: the same files, and the same dossiers."""
    names = ("pair", "solid", "dice", "gone")
    mirror.faults["/gone_1.0.orig.tar.gz"] = Fault.NOT_FOUND
    alone, many = (make_person(name, address=mirror.address, downloads=False) for name in ("alone", "many"))
    for role in ("builder", "attestation"):
        assert alone.run("keys", "init", "--role", role).code == 0
    shutil.copytree(alone.settings.state / "keys", many.settings.state / "keys")
    alone.verify(*(f"deb:trixie/{name}" for name in names))
    farm = work(replace(many.settings, farm=FarmSettings()), Clock(), *names)
    cases = farm.coordinator.bureau.cases.find()
    failed = farm.coordinator.bureau.jobs.find(Selection(state=JobState.FAILED))
    assert [(job.new.name, job.new.kind, job.message) for job in failed] == []
    assert {case.state for case in cases} == {CaseState.CLOSED}
    assert "undecided" in {verdict for path, verdict in _verdicts(alone).items() if "gone" in path}
    assert paths_only(alone.results) == paths_only(many.results)
    assert _verdicts(alone) == _verdicts(many)
    for path in sorted(alone.results.rglob("dossier.json")):
        same = many.results / path.relative_to(alone.results)
        if "dice" not in path.parts:  # whose outputs are random, and so are their reports
            assert _lines(path) == _lines(same), path
        assert many.check(same.parent).code == alone.check(path.parent).code, path


def _verdicts(person: Person) -> dict[str, str]:
    return {
        path.parent.relative_to(person.results).as_posix(): person.dossier(path.parent).verdict.value
        for path in person.results.rglob("dossier.json")
    }
