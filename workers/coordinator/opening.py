"""Opening the farm's ledger and blobs as the settings say, for the coordinator alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from rebuilder.attest.keys import PublicKey
from rebuilder.config import Settings
from rebuilder.store.blobs import BlobStore
from rebuilder.store.cases import Cases
from rebuilder.store.database import Database
from rebuilder.store.jobs import Jobs
from rebuilder.store.ledger import Ledger
from rebuilder.store.workers import Workers
from workers.coordinator.bureau import Bureau
from workers.coordinator.transitions import Transitions
from workers.lease.desk import Desk
from workers.scheduling import standing_blocks


@dataclass(frozen=True, slots=True, kw_only=True)
class Coordinator:
    """The parts of a coordinator, all on one ledger."""

    bureau: Bureau
    workers: Workers
    desk: Desk


def open_coordinator(
    settings: Settings, database: Database, blobs: BlobStore, *, attester: PublicKey, now: Callable[[], datetime]
) -> Coordinator:
    """Put a coordinator together."""
    workers = Workers(database)
    bureau = Bureau(
        settings=settings,
        ledger=Ledger(database),
        jobs=Jobs(database, standing=standing_blocks(settings.farm)),
        cases=Cases(database),
        blobs=blobs,
        worker=workers.find,
        attester=attester,
        now=now,
    )
    desk = Desk(
        jobs=bureau.jobs,
        ledger=bureau.ledger,
        blobs=blobs,
        follow=Transitions(bureau),
        lease=timedelta(seconds=settings.farm.lease_s),
        now=now,
    )
    return Coordinator(bureau=bureau, workers=workers, desk=desk)
