"""`rebuilder submit`: single releases, by hand."""

from __future__ import annotations

from pathlib import Path

import click

from rebuilder.cli import options
from rebuilder.cli.output import say, say_json
from rebuilder.errors import UsageError
from rebuilder.model.job import JobKind, NewJob
from workers.verbs.place import ledger_at, now
from workers.verbs.quorum import MOST, look_at_quorum

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

    Whether a target exists is found out when it is planned: `rebuilder jobs show JOB` has the answer. A target that is
    owed already is left as it is. What is blocked is refused. `rebuilder jobs cancel JOB` takes it back.
    """
    from rebuilder.origins.registry import named  # noqa: PLC0415 - slow to load
    from rebuilder.store.jobs import Jobs  # noqa: PLC0415 - as above
    from rebuilder.store.quorums import Wanted  # noqa: PLC0415 - as above
    from workers.scheduling import block_on, rule_for  # noqa: PLC0415 - as above

    settings, database = ledger_at(config)
    wanted = [named(target) for target in targets]
    for each in wanted:
        if reason := block_on(each.name, settings.farm, database):
            raise UsageError(f"{each.name} is blocked: {reason}", hint="`rebuilder block` and [[farm.packages]] say so")
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
