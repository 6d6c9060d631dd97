"""From suites to jobs: what a sync asks origins and the ledger, and what the settings say about packages and suites."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase

from rebuilder.config import FarmSettings, PackageRule
from rebuilder.model.catalogue import Catalogue
from rebuilder.store.blocking import Block
from rebuilder.store.blocks import Blocks
from rebuilder.store.database import Database
from rebuilder.store.due import Ages, Order
from rebuilder.store.ledger import Ledger
from rebuilder.store.schedule import Import, Schedule, Synced

_USUAL = PackageRule(pattern="*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a person asks of a sync."""

    suites: tuple[str, ...]
    """Each with its ecosystem: `deb:trixie`."""
    architectures: tuple[str, ...]
    quorum: int
    limit: int | None = None
    is_trial: bool = False
    """Only say what would be done, and what it would cost."""


OpenCatalogue = Callable[[str, datetime, tuple[str, ...]], Catalogue]
"""`Catalogues.open`."""


def sync(wish: Wish, farm: FarmSettings, database: Database, open_catalogue: OpenCatalogue, at: datetime) -> Synced:
    """Import suites and owe what is due.

    1. Each suite, as it is signed for now. 2. Its offers, unless the ledger has them. 3. When it was signed: an archive
    that went back is an event. Quotas of the settings, so that they hold when the first job is claimed. 4. The import
    and the jobs, in one transaction.
    """
    with _without_collector():
        return _sync(wish, farm, database, open_catalogue, at)


def _sync(wish: Wish, farm: FarmSettings, database: Database, open_catalogue: OpenCatalogue, at: datetime) -> Synced:
    schedule = Schedule(database)
    # 1. and 2.
    catalogues = [open_catalogue(suite, at, wish.architectures) for suite in dict.fromkeys(wish.suites)]
    imports = [
        Import(catalogue=each, offers=None if schedule.is_current(each) else tuple(each.read())) for each in catalogues
    ]
    order = _order(wish, farm, [each.suite for each in catalogues])
    if wish.is_trial:
        return schedule.trial(imports, order, at)
    # 3.
    for each in catalogues:
        Ledger(database).observe_index(each.archive, each.suite, date=each.date, document=each.document, at=at)
    for rule in farm.suites:
        if rule.suite in order.suites and rule.quota is not None:
            Blocks(database).limit(rule.suite, rule.quota, at)
    # 4.
    return schedule.sync(imports, order, at)


@contextmanager
def _without_collector() -> Iterator[None]:
    """Let Python not look for cycles among 70,000 values that have none: a third of the time of reading them."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def rule_for(name: str, farm: FarmSettings) -> PackageRule:
    """Return what the settings say about a source package; small and without tags, if nothing."""
    return next((rule for rule in farm.packages if fnmatchcase(name, rule.pattern)), _USUAL)


def block_on(name: str, farm: FarmSettings, database: Database) -> str | None:
    """Return why a package is not to be rebuilt, as the settings or the ledger say; None if it is."""
    blocks = (*standing_blocks(farm), *Blocks(database).blocks())
    return next((each.reason for each in blocks if each.names(name)), None)


def standing_blocks(farm: FarmSettings) -> tuple[Block, ...]:
    """Return the blocks of the settings, each without the packages about which an earlier rule says something else."""
    patterns = [rule.pattern for rule in farm.packages]
    return tuple(
        Block(pattern=rule.pattern, reason=rule.block, unless=tuple(patterns[:place]))
        for place, rule in enumerate(farm.packages)
        if rule.block is not None
    )


def _order(wish: Wish, farm: FarmSettings, suites: Sequence[str]) -> Order:
    rechecks = {rule.suite: rule.recheck for rule in farm.suites if rule.recheck is not None}
    return Order(
        suites={
            suite: Ages(recheck=rechecks.get(suite, farm.recheck), regression=farm.recheck_regression)
            for suite in suites
        },
        architectures=wish.architectures,
        quorum=wish.quorum,
        blocked=standing_blocks(farm),
        limit=wish.limit,
    )
