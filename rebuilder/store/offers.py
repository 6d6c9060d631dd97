"""What suites offer, over time: what the ledger remembers of imports, and what is new, changed or gone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from rebuilder.model.catalogue import Catalogue, Offer, OfferedFile
from rebuilder.model.codec import render_time
from rebuilder.model.job import JobKind, JobState, Purpose
from rebuilder.store import farm_tables
from rebuilder.store.bulk import insert_new
from rebuilder.store.conclusions import Event
from rebuilder.store.dialects import insert
from rebuilder.store.sightings import note_files

_OFFERS, _IMPORTS, _JOBS = farm_tables.offers, farm_tables.imports, farm_tables.jobs
_COLUMNS = ("suite", "architecture", "name", "version", "target", "digest", "size_bytes", "first_seen")
_AT_ONCE = 500

Key = tuple[str, str, str]
"""Architecture, name and version: with the suite, what an offer is found by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What an import of one suite found, counted in offers: one version of a source for one architecture each."""

    suite: str
    is_current: bool
    """Whether the suite's signed index is the one that was imported last: then nothing was read."""
    offered: int = 0
    new: int = 0
    changed: int = 0
    """Files came to an offer, went, or have other bytes."""
    removed: int = 0
    cancelled: int = 0
    """Jobs that waited for what is not offered any more."""
    events: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Difference:
    offered: int
    new: list[Offer]
    changed: list[Offer]
    returned: list[Key]
    removed: list[tuple[Key, str]]
    """With their targets."""


def is_current(connection: Connection, catalogue: Catalogue) -> bool:
    """Whether what the catalogue is read from was imported already, for all its architectures."""
    query = sa.select(_IMPORTS.c.architecture, _IMPORTS.c.digest).where(_IMPORTS.c.suite == catalogue.suite)
    known = {row.architecture: row.digest for row in connection.execute(query)}
    return all(known.get(architecture) == catalogue.index for architecture in catalogue.architectures)


def take_in(connection: Connection, catalogue: Catalogue, offers: Iterable[Offer], at: datetime) -> Change:
    """Bring the ledger's memory of a suite up to what it offers now.

    1. What is new, changed, back or gone. 2. Remember it. 3. Files of what is new or changed: other bytes under an old
    name are an event. 4. What waits for something that is gone is cancelled. 5. This index was imported.
    """
    # 1.
    found = _compare(connection, catalogue, offers)
    # 2.
    _remember(connection, catalogue.suite, found, at)
    # 3.
    files: list[OfferedFile] = [file for offer in (*found.new, *found.changed) for file in offer.files]
    files.sort(key=lambda file: file.filename)
    events = note_files(connection, catalogue, files, at)
    # 4.
    cancelled = _cancel(connection, catalogue.suite, [target for _, target in found.removed], at)
    # 5.
    _note_import(connection, catalogue, at)
    return Change(
        suite=catalogue.suite,
        is_current=False,
        offered=found.offered,
        new=len(found.new),
        changed=len(found.changed),
        removed=len(found.removed),
        cancelled=cancelled,
        events=events,
    )


def count(connection: Connection, catalogue: Catalogue) -> int:
    """Count what a suite offered at its last import."""
    query = sa.select(sa.func.count()).select_from(_OFFERS).where(_ours(catalogue) & _OFFERS.c.gone_at.is_(None))
    return int(connection.scalar(query) or 0)


def _ours(catalogue: Catalogue) -> sa.ColumnElement[bool]:
    return (_OFFERS.c.suite == catalogue.suite) & _OFFERS.c.architecture.in_(catalogue.architectures)


def _compare(connection: Connection, catalogue: Catalogue, offers: Iterable[Offer]) -> _Difference:
    digest = sa.type_coerce(_OFFERS.c.digest, sa.Text)
    columns = (_OFFERS.c.architecture, _OFFERS.c.name, _OFFERS.c.version, _OFFERS.c.target, digest)
    rows = connection.execute(sa.select(*columns, _OFFERS.c.gone_at.is_(None)).where(_ours(catalogue)))
    known = {(row[0], row[1], row[2]): (row[3], row[4], bool(row[5])) for row in rows}
    found, offered = _Difference(offered=0, new=[], changed=[], returned=[], removed=[]), 0
    for offer in offers:
        offered += 1
        key = (offer.architecture, offer.name, offer.version)
        before = known.pop(key, None)
        if before is None:
            found.new.append(offer)
            continue
        _, listing, is_there = before
        if listing != str(offer.digest):
            found.changed.append(offer)
        elif not is_there:
            found.returned.append(key)
    found.new.sort(key=lambda offer: (offer.architecture, offer.name, offer.version))
    found.removed.extend((key, target) for key, (target, _, is_there) in known.items() if is_there)
    return replace(found, offered=offered)


def _remember(connection: Connection, suite: str, found: _Difference, at: datetime) -> None:
    moment = render_time(at)

    def rows() -> Iterator[tuple[object, ...]]:
        for each in found.new:
            key = (suite, each.architecture, each.name, each.version)
            yield (*key, each.target, str(each.digest), each.size_bytes, moment)

    insert_new(connection, _OFFERS, _COLUMNS, rows)
    one = (
        (_OFFERS.c.suite == suite)
        & (_OFFERS.c.architecture == sa.bindparam("of"))
        & (_OFFERS.c.name == sa.bindparam("named"))
        & (_OFFERS.c.version == sa.bindparam("at_version"))
    )
    for offer in found.changed:
        values = {"digest": offer.digest, "size_bytes": offer.size_bytes, "changed_at": at, "gone_at": None}
        key = {"of": offer.architecture, "named": offer.name, "at_version": offer.version}
        connection.execute(_OFFERS.update().where(one).values(**values), key)
    moved = [(key, None) for key in found.returned] + [(key, at) for key, _ in found.removed]
    for (architecture, name, version), gone_at in moved:
        key = {"of": architecture, "named": name, "at_version": version}
        connection.execute(_OFFERS.update().where(one).values(gone_at=gone_at), key)


def _cancel(connection: Connection, suite: str, targets: Sequence[str], at: datetime) -> int:
    """End the plans that nobody began, of what no architecture offers any more and no person asked for."""
    offered = sa.exists().where((_OFFERS.c.target == _JOBS.c.target) & _OFFERS.c.gone_at.is_(None))
    ended = 0
    for start in range(0, len(targets), _AT_ONCE):
        clause = (
            (_JOBS.c.suite == suite)
            & (_JOBS.c.kind == JobKind.PLAN)
            & _JOBS.c.state.in_((JobState.READY, JobState.WAITING))
            & (_JOBS.c.purpose != Purpose.BY_HAND)
            & _JOBS.c.target.in_(targets[start : start + _AT_ONCE])
        )
        values = {"state": JobState.CANCELLED, "message": f"{suite} does not offer it any more", "changed_at": at}
        ended += connection.execute(_JOBS.update().where(clause & ~offered).values(**values)).rowcount
    return ended


def _note_import(connection: Connection, catalogue: Catalogue, at: datetime) -> None:
    for architecture in catalogue.architectures:
        current = {"digest": catalogue.index, "is_security": catalogue.is_security, "changed_at": at}
        statement = insert(connection, _IMPORTS).values(
            suite=catalogue.suite, architecture=architecture, first_at=at, **current
        )
        connection.execute(statement.on_conflict_do_update(index_elements=["suite", "architecture"], set_=current))
