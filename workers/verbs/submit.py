"""`rebuilder submit`: single releases, by hand."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from rebuilder.cli import options
from rebuilder.cli.output import say, say_json
from rebuilder.errors import NetworkFailure, UsageError
from rebuilder.model.job import JobKind, NewJob
from workers.verbs.place import ledger_at, note, now
from workers.verbs.quorum import MOST, look_at_quorum

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rebuilder.config import Settings
    from rebuilder.origins.registry import Named
    from rebuilder.store.database import Database

EXAMPLES = """
rebuilder submit deb:trixie/cjson
rebuilder submit deb:trixie/cjson deb:trixie/libssh2 --quorum 2 --priority -10
"""


@options.verb("submit", EXAMPLES)
@click.argument("targets", nargs=-1, required=True, metavar="TARGET…")
@click.option("--quorum", type=click.IntRange(1, MOST), help="Builders that must agree (default: farm.quorum).")
@click.option("--priority", type=click.IntRange(-1000, 1000), default=0, help="Lower is sooner (default: 0).")
@options.config_option
@options.json_option
def command(targets: tuple[str, ...], quorum: int | None, priority: int, config: Path | None, *, as_json: bool) -> None:
    """Owe the farm a rebuild of single releases, before everything that a sync found.

    What is not planned for is refused, and a suite that is not there: an archive is asked for one that nothing was
    owed of yet. Whether a target exists is found out when it is planned: `rebuilder jobs show JOB` has the answer. One
    that is owed already is left as it is. What is blocked is refused. `rebuilder jobs cancel JOB` takes it back.
    """
    from rebuilder.origins.registry import named  # noqa: PLC0415 - slow to load
    from rebuilder.store.jobs import Jobs  # noqa: PLC0415 - as above
    from rebuilder.store.quorums import Wanted  # noqa: PLC0415 - as above
    from workers.scheduling import block_on, rule_for  # noqa: PLC0415 - as above

    settings, database = ledger_at(config)
    wanted = [named(target) for target in targets]
    _look_at_suites(wanted, settings, database)
    for each in wanted:
        if reason := block_on(each.name, settings.farm, database):
            raise UsageError(
                f"{each.name} is blocked: {reason}", hint="`rebuilder block list` or [[farm.packages]] say so"
            )
    jobs, answers, count = Jobs(database), [], quorum or settings.farm.quorum
    for each in wanted:
        rule = rule_for(each.name, settings.farm)
        asked = Wanted(quorum=count, resources=rule.resources, tags=rule.tags)
        missing = look_at_quorum(asked, database, what=f"{each.name}: ")
        job = NewJob(
            kind=JobKind.PLAN,
            target=each.target,
            suite=each.suite,
            name=each.name,
            quorum=count,
            priority=priority,
        )
        made = jobs.add((job,), now())
        answers.append({"target": each.target, "job": made[0] if made else None, "too_few_domains": missing})
    if as_json:
        say_json({"submitted": answers})
        return
    for answer in answers:
        say(f"{answer['target']}: " + (f"job {answer['job']}" if answer["job"] else "owed already"))


def _look_at_suites(wanted: Iterable[Named], settings: Settings, database: Database) -> None:
    """Raise for what nobody could plan.

    1. An architecture that rebuilds are not planned for. 2. A suite that no archive of the settings has, or whose index
    is not to be trusted; it is asked for the first time that it is named. That no archive answers is no refusal.
    """
    from rebuilder.origins.catalogues import Catalogues  # noqa: PLC0415 - slow to load
    from rebuilder.store.blobs import LocalBlobs  # noqa: PLC0415 - as above
    from rebuilder.store.blocks import Blocks  # noqa: PLC0415 - as above
    from rebuilder.world.http import HttpFetcher  # noqa: PLC0415 - as above

    catalogues, blocks = Catalogues(settings, HttpFetcher(), LocalBlobs(settings.blobs_dir)), Blocks(database)
    unheard: dict[str, tuple[str, ...]] = {}
    for each in wanted:
        suite = f"{each.ecosystem}:{each.suite}"
        # 1.
        catalogues.verify_planned(suite, each.architectures)
        if not blocks.is_known(each.suite):
            unheard[suite] = each.architectures
    # 2.
    for suite, architectures in unheard.items():
        try:
            catalogues.open(suite, now(), architectures)
        except NetworkFailure as error:
            note(f"{suite}: whether there is such a suite could not be asked: {error}", "the planner finds it out")
