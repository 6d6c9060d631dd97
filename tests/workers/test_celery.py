"""Jobs through real Celery workers on real Redis: what is killed, lost or wiped is done all the same."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from rebuilder.attest import envelope
from rebuilder.model.job import CaseState, JobKind, JobState
from rebuilder.store.jobs import Selection
from tests.servers import redis
from tests.workers.celery_farm import Farm, running

_PATIENCE_S = 240


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[Farm]:
    """Run a farm with all its workers."""
    with redis(tmp_path / "redis") as server, running(Farm(tmp_path / "farm", server)) as made:
        for name in ("office", "builder-1", "builder-2"):
            made.start(name)
        yield made


def wait(farm: Farm, until: Callable[[], bool], *, patience_s: float = _PATIENCE_S) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + patience_s
    while not until():
        assert time.monotonic() < deadline, (farm.desk.jobs.backlog(), farm.logs())
        time.sleep(0.05)


def counts(farm: Farm) -> dict[str, int]:
    """Count what a farm must never do: lose a case, sign one twice with other content, publish it unsigned."""
    cases = farm.coordinator.bureau.cases.find(limit=1000)
    published = sorted(path.parent for path in farm.settings.results.rglob("dossier.json"))
    per_case = Counter(path.parent.as_posix() for path in published)
    unsigned = [path for path in published if not _is_signed(path, farm)]
    return {
        "cases": len(cases),
        "lost": sum(case.state is not CaseState.CLOSED for case in cases),
        "signed twice": sum(number > 1 for number in per_case.values()),
        "published unsigned": len(unsigned),
    }


def _is_signed(directory: Path, farm: Farm) -> bool:
    documents = list(directory.glob("attestations/*/verdict.dsse.json"))
    for path in documents:
        found = envelope.parse(path.read_bytes())
        envelope.verify(found, (farm.attester,), payload_type=envelope.IN_TOTO)
    return bool(documents)


def test_jobs_survive_a_killed_builder_and_a_wiped_broker(farm: Farm) -> None:
    """One farm, three faults.

    1. A quorum of two goes through all roles. 2. A builder is killed while it holds a job: the lease expires, and
    another one finishes. 3. Redis is wiped: the reconciler wakes everybody again.
    """
    farm.owe("calm", quorum=2)
    wait(farm, lambda: farm.owed() == 0)
    assert counts(farm) == {"cases": 1, "lost": 0, "signed twice": 0, "published unsigned": 0}
    farm.owe("struck")
    wait(farm, lambda: farm.held(JobKind.REBUILD) > 0)
    (job,) = farm.desk.jobs.find(Selection(kind=JobKind.REBUILD, state=JobState.LEASED))
    holder = farm.desk.jobs.leases_of(job.id)[-1].worker
    name = farm.coordinator.bureau.member(holder).name.partition(" ")[0]
    farm.kill(name)
    wait(farm, lambda: farm.owed() == 0)
    leases = farm.desk.jobs.leases_of(job.id)
    assert len(leases) == 2
    farm.owe(*(f"wiped-{number}" for number in range(3)))
    farm.redis.flush()
    wait(farm, lambda: farm.owed() == 0)
    assert counts(farm) == {"cases": 5, "lost": 0, "signed twice": 0, "published unsigned": 0}


@pytest.mark.parametrize(("packages", "kills"), [(12, 10), pytest.param(100, 40, marks=pytest.mark.slow)])
def test_chaos(farm: Farm, packages: int, kills: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Five jobs a package, random kills by a seed: nothing is lost, signed twice or published unsigned."""
    seed = int(os.environ.get("CHAOS_SEED", "3"))
    random = Random(seed)  # noqa: S311 - repeatable on purpose
    farm.owe(*(f"tool-{number}" for number in range(packages)))
    killed: Counter[str] = Counter()
    while killed.total() < kills and farm.owed():
        time.sleep(random.uniform(0.5, 3.0))
        name = random.choice(sorted(farm.processes))
        farm.kill(name)
        farm.start(name)
        killed[name] += 1
    wait(farm, lambda: farm.owed() == 0, patience_s=_PATIENCE_S + 5 * packages)
    found = counts(farm)
    jobs = sum(count for _, count in farm.desk.jobs.backlog().by_state)
    with capsys.disabled():
        sys.stdout.write(f"\nchaos, seed {seed}: {jobs} jobs, {killed.total()} kills {dict(killed)}: {found}\n")
    assert found == {"cases": packages, "lost": 0, "signed twice": 0, "published unsigned": 0}
    assert killed.total() == kills
