"""The ledger: everything that was concluded, in SQLite or PostgreSQL. Nouns go in and come out; rows stay here.

Every method is one transaction. Recording the same noun twice changes nothing, so that a step can be run again after a
crash. The documents under results/ can make the ledger again (`rebuilder.store.restore`), except for the observations
over time.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from rebuilder.errors import HostileInput, StorageFailure
from rebuilder.model.agreement import digest_in
from rebuilder.model.cause import Cause
from rebuilder.model.codec import render
from rebuilder.model.comparison import ArtifactComparison
from rebuilder.model.digest import Digest
from rebuilder.model.dossier import Dossier
from rebuilder.model.rebuild import Rebuild
from rebuilder.model.release import Artifact, Release
from rebuilder.model.verdict import Verdict
from rebuilder.model.withdrawal import Withdrawal
from rebuilder.store import tables
from rebuilder.store.conclusions import Conclusion, Event, EventKind, PublishedDocument, Regression, regressions_among
from rebuilder.store.database import Database
from rebuilder.store.dialects import insert
from rebuilder.store.engines import BUSY_TIMEOUT_MS
from rebuilder.store.ordinals import reserve_ordinal

FILE_NAME = "ledger.sqlite"


def open_ledger(path: Path, *, busy_timeout_ms: int = BUSY_TIMEOUT_MS) -> Ledger:
    """Open or make the ledger file; raise StorageFailure when it is corrupt, locked, newer or not writable."""
    return Ledger(Database(path, busy_timeout_ms=busy_timeout_ms))


class Ledger:
    """Records conclusions and observations, and answers questions about them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record_release(self, release: Release, at: datetime) -> None:
        """Keep a release and its artifacts as they were seen at that time."""
        with self._database.write() as connection:
            _record_release(connection, release, at)

    def next_ordinal(self, plan: Digest, builder: str, at: datetime, *, at_least: int = 0) -> int:
        """Reserve the next run number of this plan by this builder; nobody else ever gets the same.

        `at_least` is for a ledger that is younger than the results: numbers below it were used already.
        """
        with self._database.write() as connection:
            return reserve_ordinal(connection, plan, builder, at, at_least=at_least)

    def record_rebuild(self, rebuild: Rebuild) -> None:
        """Keep a run's report, once: another one under the same plan, builder and ordinal raises HostileInput."""
        table = tables.rebuilds
        document = Digest.of(render(rebuild))
        identity = {"plan": rebuild.plan, "builder": rebuild.builder, "ordinal": rebuild.ordinal}
        ours = sa.and_(*(table.c[name] == value for name, value in identity.items()))
        with self._database.write() as connection:
            present = connection.execute(sa.select(table.c.document).where(ours)).first()
            if present is not None and present.document not in {None, document}:
                run = f"run {rebuild.ordinal} of plan {rebuild.plan.short} by {rebuild.builder}"
                raise HostileInput(f"{run}: expected the report that is recorded, found another")
            if present is not None and present.document == document:
                return
            if present is None:
                connection.execute(table.insert().values(**identity, reserved_at=rebuild.started_at))
            connection.execute(table.update().where(ours).values(**_rebuild_values(rebuild, document)))
            for output in rebuild.outputs:
                row = {"filename": output.filename, "digest": output.digest, "size_bytes": output.size_bytes}
                connection.execute(tables.outputs.insert().values(**identity, **row))

    def record_comparison(self, dossier: Dossier, directory: str) -> Digest:
        """Keep a dossier's verdicts, published in `directory` under the results; return the dossier's digest."""
        digest = Digest.of(render(dossier))
        with self._database.write() as connection:
            release = _record_release(connection, dossier.release, dossier.concluded_at)
            values = _comparison_values(dossier, digest) | {"release": release, "directory": directory}
            statement = insert(connection, tables.comparisons).values(**values).on_conflict_do_nothing()
            made = connection.execute(statement.returning(tables.comparisons.c.id)).first()
            if made is not None:
                for artifact in dossier.comparison.artifacts:
                    connection.execute(tables.verdicts.insert().values(comparison=made.id, **_verdict_values(artifact)))
                _record_events(connection, _disagreements(dossier))
        return digest

    def record_attestations(self, dossier: Digest, documents: Iterable[PublishedDocument]) -> None:
        """Keep which signed documents were published for a recorded dossier; raise StorageFailure if it is not."""
        table = tables.comparisons
        with self._database.write() as connection:
            row = connection.execute(sa.select(table.c.id).where(table.c.dossier == dossier)).first()
            if row is None:
                raise StorageFailure(f"dossier {dossier} is not in the ledger: its comparison is recorded first")
            for document in documents:
                values = {
                    "comparison": row.id,
                    "path": document.path,
                    "filename": document.filename,
                    "kind": document.kind,
                    "key": document.key,
                    "digest": document.digest,
                }
                connection.execute(insert(connection, tables.attestations).values(**values).on_conflict_do_nothing())

    def record_withdrawal(self, withdrawal: Withdrawal, document: Digest) -> bool:
        """Keep that a result was withdrawn by that signed document; say whether its dossier is in the ledger at all."""
        table = tables.comparisons
        with self._database.write() as connection:
            row = connection.execute(sa.select(table.c.id).where(table.c.dossier == withdrawal.dossier)).first()
            if row is None:
                return False
            successor = withdrawal.superseded_by
            values = {
                "comparison": row.id,
                "reason": withdrawal.reason,
                "key": withdrawal.attester,
                "superseded_by": successor.dossier if successor else None,
                "digest": document,
                "withdrawn_at": withdrawal.withdrawn_at,
            }
            connection.execute(insert(connection, tables.withdrawals).values(**values).on_conflict_do_nothing())
        return True

    def observe_artifacts(self, release: Release, at: datetime) -> tuple[Event, ...]:
        """Note which bytes each published file has now; an event for each name that used to have others."""
        with self._database.write() as connection:
            found = [_observe_artifact(connection, release, artifact, at) for artifact in release.artifacts]
            events = tuple(event for event in found if event is not None)
            _record_events(connection, events)
        return events

    def observe_index(
        self, archive: str, suite: str, *, date: datetime, document: Digest, at: datetime
    ) -> Event | None:
        """Note the Date of a verified signed index; an event when it is older than one seen before."""
        with self._database.write() as connection:
            highest = _highest_date(connection, archive, suite)
            if highest is not None and date < highest:
                detail = (
                    f"expected a signed index of {highest:%Y-%m-%d %H:%M:%S} or later, found {date:%Y-%m-%d %H:%M:%S}"
                )
                event = Event(kind=EventKind.ARCHIVE_WENT_BACK, subject=f"{archive} {suite}", detail=detail, at=at)
                _record_events(connection, (event,))
                return event
            statement = insert(connection, tables.index_dates).values(
                archive=archive, suite=suite, highest=date, document=document, seen_at=at
            )
            updates = {"highest": date, "document": document, "seen_at": at}
            connection.execute(statement.on_conflict_do_update(index_elements=["archive", "suite"], set_=updates))
        return None

    def highest_date(self, archive: str, suite: str) -> datetime | None:
        """Return the newest Date ever seen in a verified index of that archive and suite."""
        with self._database.read() as connection:
            return _highest_date(connection, archive, suite)

    def history(self, name: str, *, ecosystem: str | None = None) -> tuple[Conclusion, ...]:
        """Everything concluded about a package, newest first."""
        column = tables.releases.c
        wanted = column.name == name if ecosystem is None else (column.name == name) & (column.ecosystem == ecosystem)
        return self._conclusions(wanted)

    def latest(self) -> tuple[Conclusion, ...]:
        """Return the newest conclusion about each version and architecture, newest first."""
        seen: dict[tuple[tuple[str, ...], str], Conclusion] = {}
        for conclusion in self._conclusions(sa.true()):
            seen.setdefault((conclusion.line, conclusion.version), conclusion)
        return tuple(seen.values())

    def regressions(self) -> tuple[Regression, ...]:
        """Every step of a package from a better to a worse decided verdict, oldest first."""
        return regressions_among(reversed(self._conclusions(sa.true())))

    def record_event(self, event: Event) -> None:
        """Keep one event that was not found by this ledger itself."""
        with self._database.write() as connection:
            _record_events(connection, (event,))

    def events(self) -> tuple[Event, ...]:
        """Everything that honest archives and workers do not do, oldest first."""
        with self._database.read() as connection:
            rows = connection.execute(sa.select(tables.events).order_by(tables.events.c.id)).all()
        return tuple(Event(kind=EventKind(row.kind), subject=row.subject, detail=row.detail, at=row.at) for row in rows)

    def _conclusions(self, wanted: sa.ColumnElement[bool]) -> tuple[Conclusion, ...]:
        table = tables.comparisons
        query = (
            sa.select(
                table,
                *(column for column in tables.releases.c if column.name in _RELEASE_COLUMNS),
                tables.withdrawals.c.reason.label("withdrawn"),
            )
            .join(tables.releases, table.c.release == tables.releases.c.id)
            .outerjoin(tables.withdrawals, table.c.id == tables.withdrawals.c.comparison)
            .where(wanted)
            .order_by(table.c.concluded_at.desc(), table.c.id.desc())
        )
        with self._database.read() as connection:
            return tuple(_conclusion(row) for row in connection.execute(query))


_RELEASE_COLUMNS = frozenset({"ecosystem", "distribution", "suite", "name", "target"})


def _record_release(connection: Connection, release: Release, at: datetime) -> int:
    identity = {
        "ecosystem": release.ecosystem,
        "distribution": release.distribution,
        "suite": release.suite,
        "name": release.name,
        "version": release.version,
    }
    current = {"target": release.target, "document": Digest.of(render(release)), "last_seen": at}
    statement = insert(connection, tables.releases).values(**identity, **current, first_seen=at)
    statement = statement.on_conflict_do_update(index_elements=list(identity), set_=current)
    number: int = connection.execute(statement.returning(tables.releases.c.id)).scalar_one()
    for artifact in release.artifacts:
        values = {
            "name": artifact.name,
            "version": artifact.version,
            "architecture": artifact.architecture,
            "digest": artifact.reference.digest if artifact.reference else None,
            "size_bytes": artifact.reference.size_bytes if artifact.reference else None,
        }
        row = insert(connection, tables.artifacts).values(release=number, filename=artifact.filename, **values)
        connection.execute(row.on_conflict_do_update(index_elements=["release", "filename"], set_=values))
    return number


def _rebuild_values(rebuild: Rebuild, document: Digest) -> dict[str, Any]:
    return {
        "document": document,
        "outcome": rebuild.outcome,
        "reason": rebuild.reason,
        "log": rebuild.log,
        "environment_tree": rebuild.environment_tree,
        "fresh_environment": rebuild.fresh_environment,
        "started_at": rebuild.started_at,
        "finished_at": rebuild.finished_at,
    }


def _comparison_values(dossier: Dossier, digest: Digest) -> dict[str, Any]:
    return {
        "version": dossier.plan.version if dossier.plan else dossier.release.version,
        "architecture": dossier.architecture,
        "plan": dossier.rebuild.plan if dossier.rebuild else None,
        "builder": dossier.rebuild.builder if dossier.rebuild else None,
        "ordinal": dossier.rebuild.ordinal if dossier.rebuild else None,
        "rule": dossier.comparison.rule,
        "verdict": dossier.verdict,
        "causes": list(dossier.causes),
        "reason": dossier.reason,
        "dossier": digest,
        "concluded_at": dossier.concluded_at,
    }


def _verdict_values(artifact: ArtifactComparison) -> dict[str, Any]:
    return {
        "filename": artifact.filename,
        "verdict": artifact.verdict,
        "causes": list(artifact.causes),
        "stabilizers": [f"{each.name}/{each.version}" for each in artifact.stabilizers],
        "control": artifact.control,
        "reference": artifact.reference.digest if artifact.reference else None,
        "rebuilt": artifact.rebuilt.digest if artifact.rebuilt else None,
    }


def _observe_artifact(connection: Connection, release: Release, artifact: Artifact, at: datetime) -> Event | None:
    if artifact.reference is None:
        return None
    table = tables.sightings
    name = {"ecosystem": release.ecosystem, "distribution": release.distribution, "filename": artifact.filename}
    ours = sa.and_(*(table.c[key] == value for key, value in name.items()))
    before = connection.scalars(sa.select(table.c.digest).where(ours).order_by(table.c.first_seen)).all()
    digest, size = artifact.reference.digest, artifact.reference.size_bytes
    row = insert(connection, table).values(**name, digest=digest, size_bytes=size, first_seen=at, last_seen=at)
    connection.execute(row.on_conflict_do_update(index_elements=[*name, "digest"], set_={"last_seen": at}))
    if not before or digest in before:
        return None
    detail = f"expected {before[-1]} as it was published before, found {digest} under the same name"
    return Event(kind=EventKind.ARTIFACT_CHANGED, subject=artifact.filename, detail=detail, at=at)


def _disagreements(dossier: Dossier) -> Iterable[Event]:
    for artifact in dossier.comparison.artifacts:
        if Cause.DISAGREEMENT in artifact.causes:
            made = [f"{digest_in(run, artifact.filename) or 'none'} by {run.builder}" for run in dossier.runs]
            detail = f"expected the same from {len(made)} builders of one plan, found {', '.join(made)}"
            yield Event(
                kind=EventKind.BUILDERS_DISAGREE, subject=artifact.filename, detail=detail, at=dossier.concluded_at
            )


def _record_events(connection: Connection, events: Iterable[Event]) -> None:
    for event in events:
        values = {"kind": event.kind, "subject": event.subject, "detail": event.detail, "at": event.at}
        connection.execute(tables.events.insert().values(**values))


def _highest_date(connection: Connection, archive: str, suite: str) -> datetime | None:
    table = tables.index_dates
    ours = (table.c.archive == archive) & (table.c.suite == suite)
    return connection.scalar(sa.select(table.c.highest).where(ours))


def _conclusion(row: Row[Any]) -> Conclusion:
    return Conclusion(
        ecosystem=row.ecosystem,
        distribution=row.distribution,
        suite=row.suite,
        name=row.name,
        version=row.version,
        architecture=row.architecture,
        target=row.target,
        verdict=Verdict(row.verdict) if row.withdrawn is None else Verdict.UNDECIDED,
        causes=tuple(Cause(word) for word in row.causes) if row.withdrawn is None else (),
        reason=row.reason,
        dossier=row.dossier,
        directory=row.directory,
        concluded_at=row.concluded_at,
        withdrawn=row.withdrawn,
    )
