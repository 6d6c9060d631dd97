"""Which bytes each published file name had, noted for many files at once; `Ledger.observe_artifacts` notes a few."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from rebuilder.model.catalogue import Catalogue, OfferedFile
from rebuilder.model.codec import render_time
from rebuilder.store import tables
from rebuilder.store.bulk import insert_new
from rebuilder.store.conclusions import Event, EventKind

_TABLE = tables.sightings
_COLUMNS = ("ecosystem", "distribution", "filename", "digest", "size_bytes", "first_seen", "last_seen")
_AT_ONCE = 500


def note_files(
    connection: Connection, catalogue: Catalogue, files: Sequence[OfferedFile], at: datetime
) -> tuple[Event, ...]:
    """Note files that are new to the catalogue; record and return an event for each name that had other bytes."""
    events = tuple(
        Event(
            kind=EventKind.ARTIFACT_CHANGED,
            subject=file.filename,
            detail=f"expected {before} as it was published before, found {file.digest} under the same name",
            at=at,
        )
        for file, before in _changed(connection, catalogue, files)
    )
    moment, name = render_time(at), (catalogue.ecosystem, catalogue.distribution)

    def rows() -> Iterator[tuple[object, ...]]:
        for file in files:
            yield (*name, file.filename, str(file.digest), file.size_bytes, moment, moment)

    insert_new(connection, _TABLE, _COLUMNS, rows)
    for event in events:
        values = {"kind": event.kind, "subject": event.subject, "detail": event.detail, "at": event.at}
        connection.execute(tables.events.insert().values(**values))
    return events


def _changed(
    connection: Connection, catalogue: Catalogue, files: Sequence[OfferedFile]
) -> Iterator[tuple[OfferedFile, str]]:
    """Find files whose name was seen with other bytes alone, each with the digest it had last."""
    ours = (_TABLE.c.ecosystem == catalogue.ecosystem) & (_TABLE.c.distribution == catalogue.distribution)
    if connection.scalar(sa.select(sa.literal(1)).where(ours).limit(1)) is None:
        return
    for start in range(0, len(files), _AT_ONCE):
        batch = files[start : start + _AT_ONCE]
        names = [file.filename for file in batch]
        digest = sa.type_coerce(_TABLE.c.digest, sa.Text)
        query = sa.select(_TABLE.c.filename, digest).where(ours & _TABLE.c.filename.in_(names))
        seen: dict[str, list[str]] = defaultdict(list)
        for filename, text in connection.execute(query.order_by(_TABLE.c.first_seen)):
            seen[filename].append(text)
        for file in batch:
            before = seen.get(file.filename)
            if before and str(file.digest) not in before:
                yield file, before[-1]
