"""How fast the ledger gives out work, and whether that depends on how much is owed: claim and completion, durable."""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa

from bench.place import LeftOut, say
from bench.report import Row
from rebuilder.model.digest import Digest
from rebuilder.model.job import JobKind, NewJob, ResourceClass, Worker
from rebuilder.store import farm_tables
from rebuilder.store.database import Database
from rebuilder.store.jobs import Jobs, Offer
from rebuilder.store.schema import Preparation

SHALLOW, DEEP = 1_000, 40_000
GOAL_PER_S = 50
GROWTH = 1.25
_PAIRS = 300
"""Claims with their completions in one round."""
_ROUNDS = 3
_SEEDS = 500


def queue() -> list[Row]:
    """Both databases at both depths; the shallow and the deep rounds alternate, so that other load falls on both."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="rebuilder-bench-") as name:
        rows += _measured("SQLite", *(Database(Path(name) / f"{depth}.sqlite") for depth in (SHALLOW, DEEP)))
    with _servers() as (shallow, deep):
        rows += _measured("PostgreSQL", shallow, deep)
    return rows


def _measured(kind: str, shallow: Database, deep: Database) -> list[Row]:
    for database, depth in ((shallow, SHALLOW), (deep, DEEP)):
        say(f"{kind}: {depth} jobs")
        fill(database, depth)
    times: dict[int, list[float]] = {SHALLOW: [], DEEP: []}
    for _ in range(_ROUNDS):
        for database, depth in ((shallow, SHALLOW), (deep, DEEP)):
            times[depth].append(work(database, _PAIRS) / _PAIRS)
            fill(database, _PAIRS)
    for database in (shallow, deep):
        database.close()
    few, many = (statistics.median(times[depth]) for depth in (SHALLOW, DEEP))
    return [
        Row(
            what=f"1,000 claims and completions, {depth:,} jobs queued, {kind}",
            command="python -m bench --only queue",
            ours_s=1000 * each,
            theirs="" if depth == SHALLOW else f"the same with {SHALLOW:,} queued",
            theirs_s=None if depth == SHALLOW else 1000 * few,
            goal=f"<= {1000 / GOAL_PER_S:.0f} s" + ("" if depth == SHALLOW else f", <= {GROWTH:.2f} x"),
            holds=1 / each >= GOAL_PER_S and each <= GROWTH * few,
            note=f"{1 / each:.0f} a second, one worker, each durable; medians of {_ROUNDS} rounds of {_PAIRS}",
        )
        for depth, each in ((SHALLOW, few), (DEEP, many))
    ]


def fill(database: Database, count: int) -> None:
    """Owe so many rebuilds; the database copies rows itself, for what is measured is not this."""
    jobs, at = Jobs(database), datetime.now(UTC)
    seeds = min(count, _SEEDS)
    made = jobs.add([_job(number) for number in range(seeds)], at)
    table = farm_tables.jobs
    columns = [column for column in table.c if column.name != "id"]
    with database.write() as connection:
        for start in range(seeds, count, seeds):
            some = sa.select(*columns).where(table.c.id.in_(made[: count - start]))
            connection.execute(table.insert().from_select([column.name for column in columns], some))
        if not database.is_file:
            connection.exec_driver_sql("ANALYZE jobs")


def work(database: Database, pairs: int) -> float:
    """Claim and complete so many jobs as one worker; return the seconds that it took."""
    jobs, worker, output = Jobs(database), _worker(), Digest.of(b"output")
    offer = Offer(worker=worker, kind=JobKind.REBUILD)
    started = time.monotonic()
    for _ in range(pairs):
        now = datetime.now(UTC)
        lease = jobs.claim(offer, now, lease=timedelta(minutes=5))
        if lease is None:
            raise AssertionError("more jobs were owed than are claimed")
        jobs.complete(lease.job.id, lease.fence, worker.keyid, output=output, at=now)
    return time.monotonic() - started


def _job(number: int) -> NewJob:
    return NewJob(
        kind=JobKind.REBUILD,
        target=f"pkg:deb/debian/package-{number}@1",
        suite="trixie",
        name=f"package-{number}",
        plan=Digest.of(str(number).encode()),
        tags=("amd64",),
    )


def _worker() -> Worker:
    return Worker(
        keyid="a" * 64,
        pem="",
        name="bench",
        roles=(JobKind.REBUILD,),
        tags=("amd64",),
        resources=tuple(ResourceClass),
        fault_domain="bench",
        enrolled_at=datetime.now(UTC),
    )


@contextmanager
def _servers() -> Iterator[tuple[Database, Database]]:
    """Run two PostgreSQL servers that sync each commit to disk, as theirs do by default."""
    from tests.servers import postgres  # noqa: PLC0415 - only here

    roots = [Path(tempfile.mkdtemp(prefix="rebuilder-bench-")) for _ in range(2)]
    try:
        with postgres(roots[0], durable=True) as one, postgres(roots[1], durable=True) as two:
            made = [Database(each.address, password=each.password, preparation=Preparation.MAKE) for each in (one, two)]
            yield made[0], made[1]
    except FileNotFoundError as error:
        raise LeftOut(f"PostgreSQL is not installed: {error}") from error
    finally:
        for root in roots:
            shutil.rmtree(root, ignore_errors=True)
