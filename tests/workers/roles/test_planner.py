"""The planner, on a frozen archive: what cannot be planned is said, once, and `status` shows it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from rebuilder.config import load_settings
from rebuilder.model.cause import Cause
from rebuilder.model.job import JobKind, JobState, NewJob
from rebuilder.world.http import HttpFetcher
from tests.archive.frozen import FrozenArchive
from tests.workers.office import Office
from tests.workers.verbs.conftest import write_config
from workers.roles.planner import plan
from workers.standing import read_status


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("pkg:deb/debian/nosuch?arch=source&distro=trixie", "nosuch"),
        ("pkg:deb/debian/greeter@9.9-9?arch=source&distro=trixie", "9.9-9"),
        ("pkg:deb/debian/greeter?arch=source&distro=nosuite", "nosuite"),
    ],
)
def test_an_unknown_target_fails_once(
    target: str, message: str, standard_archive: FrozenArchive, tmp_path: Path
) -> None:
    """A package, version or suite that is not there is final at once, and is named; nothing follows, nothing waits."""
    office = Office(tmp_path / "office")
    settings = load_settings(write_config(tmp_path, standard_archive), environment={})
    post = office.posts["planner"]
    place = replace(post.place, settings=replace(settings, state=post.place.settings.state), fetcher=HttpFetcher())
    office.posts["planner"] = replace(post, step=plan, place=place)
    office.coordinator.bureau.jobs.add(
        [NewJob(kind=JobKind.PLAN, target=target, suite="trixie", name="greeter")], office.now()
    )
    office.work()
    (job,) = office.jobs(JobState.FAILED)
    assert (job.cause, job.attempts, message in job.message) == (Cause.NO_REFERENCE, 1, True), job.message
    assert office.coordinator.bureau.cases.find() == ()
    assert [each.id for each in read_status(office.database, office.now()).failed] == [job.id]
