"""What the measurement of the queue does: as many jobs as it says, each claimed and completed."""

from __future__ import annotations

from pathlib import Path

from bench.queue import fill, work
from rebuilder.store.database import Database
from rebuilder.store.examine import examine
from rebuilder.store.jobs import Jobs


def test_the_queue_is_as_long_as_it_says(tmp_path: Path) -> None:
    """Copies count, and what was worked off is done; that they are of no case is all that is wrong."""
    database = Database(tmp_path / "ledger.sqlite")
    fill(database, 1234)
    assert work(database, 20) > 0
    assert Jobs(database).backlog().by_state == (("done", 20), ("ready", 1214))
    (fault,) = examine(database).faults
    assert fault.startswith("job of no case")
