"""`rebuilder jobs`: what is owed, one by one, and what a person may do about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rebuilder.cli import options
from rebuilder.cli.output import one_line, say, say_json
from rebuilder.cli.words import short
from rebuilder.errors import UsageError
from rebuilder.model.codec import render_time
from rebuilder.model.job import Job, JobKind, JobState
from workers.verbs.place import WHY_LIMIT, counted, ledger_at, note, now, show, since

if TYPE_CHECKING:
    from rebuilder.store.jobs import Jobs
    from rebuilder.store.selection import Selection


@click.group("jobs", context_settings=options.CONTEXT)
def command() -> None:
    """List, show, retry, cancel, hold, release and reorder jobs.

    A verb that changes jobs needs to be told which: by number, --name, --suite, --kind or --state; all that is said
    must hold. --all means every job.
    """


def _selecting(function: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--all", "every", is_flag=True, help="Every job."),
        click.option("--state", type=click.Choice([state.value for state in JobState]), help="Only in this state."),
        click.option("--kind", type=click.Choice([kind.value for kind in JobKind]), help="Only this step."),
        click.option("--suite", help="Only of this suite."),
        click.option("--name", help="Only of this source package."),
    ):
        function = option(function)
    return function


def _chosen(numbers: tuple[int, ...], wish: dict[str, Any]) -> Selection:
    from rebuilder.store.selection import Selection  # noqa: PLC0415 - the database library is slow to load

    return Selection(
        jobs=numbers,
        name=wish["name"],
        suite=wish["suite"],
        kind=JobKind(wish["kind"]) if wish["kind"] else None,
        state=JobState(wish["state"]) if wish["state"] else None,
        every=wish["every"],
    )


def _jobs(config: Path | None) -> Jobs:
    from rebuilder.store.jobs import Jobs  # noqa: PLC0415 - as above
    from workers.scheduling import standing_blocks  # noqa: PLC0415 - as above

    settings, database = ledger_at(config)
    return Jobs(database, standing=standing_blocks(settings.farm))


@command.command("list", cls=options.JsonVerb)
@_selecting
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True, help="At most so many.")
@options.config_option
@options.json_option
def list_jobs(limit: int, config: Path | None, *, as_json: bool, **wish: Any) -> None:  # noqa: ANN401 - click's
    """List jobs, the most urgent first."""
    if not any(wish.values()):
        wish["every"] = True
    at, found = now(), _jobs(config).find(_chosen((), wish), limit=limit)
    if as_json:
        say_json({"jobs": found})
        return
    rows = [
        (
            str(j.id),
            j.new.kind,
            j.state,
            j.new.purpose,
            since(j.changed_at, at),
            short(j.new.target),
            one_line(_why(j), WHY_LIMIT),
        )
        for j in found
    ]
    none = "no jobs" if wish["every"] else "no such jobs: `rebuilder jobs list` shows all"
    show(("job", "step", "state", "purpose", "since", "target", "message"), rows, none=none)
    if len(found) == limit:
        say(f"the first {limit}; --limit shows more")


@command.command("show", cls=options.JsonVerb)
@click.argument("number", type=int)
@options.config_option
@options.json_option
def show_job(number: int, config: Path | None, *, as_json: bool) -> None:
    """Show one job and every lease that there was on it."""
    jobs = _jobs(config)
    job, leases = jobs.job(number), jobs.leases_of(number)
    if as_json:
        held = [{"worker": each.worker, "fence": each.fence, "claimed_at": each.claimed_at} for each in leases]
        say_json({"job": job, "leases": held})
        return
    say(f"job {job.id}: {job.new.kind} {job.new.target}")
    say(f"{job.state}, {job.new.purpose}, {counted(job.attempts, 'attempt')}; added {render_time(job.created_at)}")
    if why := _why(job):
        say(why)
    rows = [(str(each.fence), each.worker[:16], render_time(each.claimed_at)) for each in leases]
    if rows:
        show(("fence", "worker", "claimed"), rows)


def _why(job: Job) -> str:
    until = f" (again at {render_time(job.not_before)})" if job.not_before else ""
    return f"{job.cause}: {job.message}{until}" if job.cause and job.message else job.message


Act = Callable[["Jobs", "Selection", dict[str, Any]], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Verb:
    """How a verb that changes jobs is told of."""

    name: str
    sentence: str
    """Its help."""
    done: str
    """What the jobs are after it."""
    can: str
    """Which ones it changes."""
    frees: bool = False
    """Whether it lets go on what a block may hold."""


def _changing(verb: _Verb, act: Act, *extra: Callable[..., Any]) -> None:
    """Make a verb that changes the chosen jobs and says how many those were."""

    def run(numbers: tuple[int, ...], config: Path | None, *, as_json: bool, **wish: Any) -> None:  # noqa: ANN401
        jobs, chosen = _jobs(config), _chosen(numbers, wish)
        for number in numbers:
            jobs.job(number)  # or it is said that there is none
        changed = act(jobs, chosen, wish)
        say_json({"changed": changed}) if as_json else say(f"{counted(changed, 'job')} {verb.done}")
        if verb.frees:
            _tell_of_kept(jobs, chosen)
        if not changed:
            note(f"nothing was changed: {verb.can}", "`rebuilder jobs list` shows states and reasons")

    run.__doc__ = verb.sentence
    wrapped: Callable[..., Any] = options.json_option(options.config_option(_selecting(run)))
    for option in extra:
        wrapped = option(wrapped)
    wrapped = click.argument("numbers", nargs=-1, type=int, metavar="[JOB…]")(wrapped)
    command.command(verb.name, cls=options.JsonVerb)(wrapped)


def _tell_of_kept(jobs: Jobs, chosen: Selection) -> None:
    """Say what was not owed again, why, and what to do instead."""
    if kept := jobs.blocked(chosen):
        note(
            f"{counted(kept, 'job')} left alone: the package is blocked",
            "`rebuilder block list`, or [[farm.packages]], says why",
        )
    if kept := jobs.settled(chosen):
        note(
            f"{counted(kept, 'job')} left alone: what is published of the case is decided, with the failure in it",
            "`rebuilder submit TARGET` has the release rebuilt anew; `rebuilder jobs list` names targets",
        )


def _release(jobs: Jobs, wanted: Selection, wish: dict[str, Any]) -> int:
    if wanted.state not in {None, JobState.HELD}:
        raise UsageError(
            f"only held jobs are released, and not those that are {wish['state']}", hint="say `jobs retry`"
        )
    from dataclasses import replace  # noqa: PLC0415 - of this act alone

    return jobs.retry(replace(wanted, state=JobState.HELD), now())


_reason = click.option("--reason", default="by hand", show_default=True, help="One sentence for whoever asks later.")
_priority = click.option("--to", type=click.IntRange(-1000, 1000), required=True, help="Lower is sooner.")

_changing(
    _Verb(
        name="retry",
        sentence="Owe again what failed, was cancelled, waits or is held; not of a case that is decided: `submit` it.",
        done="owed again",
        can="what failed, was cancelled, waits or is held is owed again; of several plans of a target the newest",
        frees=True,
    ),
    lambda jobs, which, _: jobs.retry(which, now()),
)
_changing(
    _Verb(
        name="cancel",
        sentence="End what is not begun; ask workers to stop what is. `retry` owes it again.",
        done="cancelled, or asked to stop",
        can="what is done, failed or cancelled has ended",
    ),
    lambda jobs, which, wish: jobs.cancel(which, now(), reason=wish["reason"]),
    _reason,
)
_changing(
    _Verb(
        name="hold",
        sentence="Keep what waits from being begun. `release` takes it back.",
        done="held",
        can="only what is ready or waiting is held; `cancel` asks a worker to stop",
    ),
    lambda jobs, which, wish: jobs.hold(which, now(), reason=wish["reason"]),
    _reason,
)
_changing(
    _Verb(name="release", sentence="Let go on what is held.", done="released", can="none of these is held", frees=True),
    _release,
)
_changing(
    _Verb(
        name="priority",
        sentence="Give jobs a number of your own, on top of their purpose's thousand. `--to 0` takes it back.",
        done="moved",
        can="there are no such jobs",
    ),
    lambda jobs, which, wish: jobs.prioritize(which, wish["to"], now()),
    _priority,
)
