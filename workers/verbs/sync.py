"""`rebuilder sync`: whole suites in, jobs out."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rebuilder.cli import options
from rebuilder.cli.output import say, say_json
from rebuilder.model.catalogue import Catalogue, Offer
from rebuilder.model.codec import to_plain
from rebuilder.model.quantity import render_size
from workers.verbs.place import counted, ledger_at, now, show
from workers.verbs.quorum import MOST, look_at_quorum

if TYPE_CHECKING:
    from rebuilder.progress import Progress
    from rebuilder.store.database import Database
    from rebuilder.store.estimate import Estimate
    from rebuilder.store.quorums import Domains
    from rebuilder.store.schedule import Synced
    from workers.stopwatch import Stopwatch

_TOLD_EVERY = 1000
EXAMPLES = """
rebuilder sync deb:trixie deb:trixie-security
rebuilder sync deb:trixie --dry-run
rebuilder sync deb:trixie-security --quorum 2 --limit 50
"""


@options.verb("sync", EXAMPLES)
@click.argument("suites", nargs=-1, required=True, metavar="SUITE…")
@click.option("--architecture", "architectures", multiple=True, metavar="ARCH", help="amd64 and all, if not said.")
@click.option("--quorum", type=click.IntRange(1, MOST), help="Builders that must agree (default: farm.quorum).")
@click.option("--limit", type=click.IntRange(1), help="Owe at most so many, the most urgent.")
@click.option("--dry-run", is_flag=True, help="Change nothing; estimate what the sync will cost.")
@options.config_option
@options.json_option
@options.quiet_option
def command(  # noqa: PLR0913 - options of one verb
    suites: tuple[str, ...],
    architectures: tuple[str, ...],
    quorum: int | None,
    limit: int | None,
    config: Path | None,
    *,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Import whole suites and owe a rebuild of everything that is due.

    A suite is named with its ecosystem: deb:trixie. Each stands for itself: name deb:trixie-security as well. What is
    due: security updates first, then new uploads, what was never built, regressions, and re-checks by age. To take
    back what a sync owed: `rebuilder jobs cancel --suite SUITE --kind plan`, or `hold` it for later.
    """
    from rebuilder.cli import progress  # noqa: PLC0415 - slow to load
    from rebuilder.origins.catalogues import Catalogues  # noqa: PLC0415 - as above
    from rebuilder.store.blobs import LocalBlobs  # noqa: PLC0415 - as above
    from rebuilder.world.http import HttpFetcher  # noqa: PLC0415 - as above
    from workers.scheduling import Wish, sync  # noqa: PLC0415 - as above
    from workers.stopwatch import Stopwatch, TimedFetcher  # noqa: PLC0415 - as above

    settings, database = ledger_at(config)
    wish = Wish(
        suites=suites,
        architectures=tuple(dict.fromkeys(architectures)) or ("amd64", "all"),
        quorum=quorum or settings.farm.quorum,
        limit=limit,
        is_trial=dry_run,
    )
    watch = Stopwatch()
    catalogues = Catalogues(settings, TimedFetcher(HttpFetcher(), watch, "download"), LocalBlobs(settings.blobs_dir))
    with progress.for_stderr(sys.stderr, quiet=quiet) as shown:

        def catalogue(suite: str, at: datetime, wanted: tuple[str, ...]) -> Catalogue:
            shown.phase(suite, "index")
            with watch.during("opening"):
                found = catalogues.open(suite, at, wanted)
            return replace(found, read=lambda: _counted(found, suite, shown, watch))

        with watch.during("ledger"):
            synced = sync(wish, settings.farm, database, catalogue, now())
        for suite in dict.fromkeys(suites):
            shown.finish(suite)
    too_few = _too_few(wish.quorum, database) if synced.by_purpose else None
    more = {"too_few_domains": too_few, "seconds": watch.seconds}
    say_json(to_plain(synced) | more) if as_json else _tell(synced)


def _too_few(quorum: int, database: Database) -> Domains | None:
    from rebuilder.store.quorums import Wanted  # noqa: PLC0415 - not for a sync that owes nothing

    return look_at_quorum(Wanted(quorum=quorum), database)


def _counted(catalogue: Catalogue, suite: str, progress: Progress, watch: Stopwatch) -> Iterator[Offer]:
    """Read what a suite offers, and tell how far that is."""
    progress.phase(suite, "read")
    with watch.during("reading"):
        for number, offer in enumerate(catalogue.read()):
            if number % _TOLD_EVERY == 0:
                progress.advance(suite, number, None, "releases")
            yield offer
    progress.phase(suite, "import")


def _tell(synced: Synced) -> None:
    rows = [
        (
            each.suite,
            "as before" if each.is_current else "imported",
            *map(str, (each.offered, each.new, each.changed, each.removed, each.cancelled)),
        )
        for each in synced.changes
    ]
    show(("suite", "", "offers", "new", "changed", "removed", "cancelled"), rows)
    for change in synced.changes:
        for event in change.events:
            say(f"{event.kind}  {event.subject}: {event.detail}")
    if synced.by_purpose:
        show(("purpose", "jobs"), [(purpose, str(count)) for purpose, count in synced.by_purpose])
    if synced.estimate is not None:
        _tell_cost(synced.estimate)
    else:
        say(f"{counted(synced.added, 'job')} added" if synced.added else "nothing is due")


def _tell_cost(cost: Estimate) -> None:
    hours = "unknown: no run is recorded yet" if cost.builder_hours is None else f"about {cost.builder_hours}"
    say(f"would add {counted(cost.jobs, 'job')}: {counted(cost.rebuilds, 'rebuild')} or more")
    say(f"builder-hours: {hours} ({cost.known} of the packages were run before; an average run for the others)")
    say(f"disk: about {render_size(cost.disk_bytes)} for what is published and what is rebuilt")
