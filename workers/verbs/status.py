"""`rebuilder status`: the farm at a glance."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rebuilder.cli import options
from rebuilder.cli.output import one_line, say, say_json
from rebuilder.model.codec import render_time
from workers.verbs.place import WHY_LIMIT, counted, ledger_at, now, show, since
from workers.verbs.quorum import there_are

if TYPE_CHECKING:
    from workers.standing import Status


@options.verb("status", "rebuilder status\nrebuilder status --watch 5")
@click.option("--watch", type=click.FloatRange(0.5, 3600), metavar="SECONDS", help="Show it again and again.")
@options.config_option
@options.json_option
def command(watch: float | None, config: Path | None, *, as_json: bool) -> None:
    """Show what the farm owes, who works, and what somebody must look at."""
    from workers.standing import read_status  # noqa: PLC0415 - the database library is slow to load

    _, database = ledger_at(config)
    while True:
        status = read_status(database, now())
        if watch is not None and not as_json and sys.stdout.isatty():
            click.clear()
        say_json(status) if as_json else _tell(status)
        if watch is None:
            return
        sys.stdout.flush()
        time.sleep(watch)


def _tell(status: Status) -> None:
    backlog, workers = status.backlog, status.workers
    show(("state", "jobs"), [(state, str(count)) for state, count in backlog.by_state] or [("-", "no jobs")])
    if backlog.ready_by_kind:
        show(("ready", "jobs"), [(kind, str(count)) for kind, count in backlog.ready_by_kind])
    ready, leased = since(backlog.oldest_ready, status.at), since(backlog.oldest_lease, status.at)
    say(f"oldest ready: {ready}; oldest lease: {leased}")
    say(f"workers: {workers.working} working, {workers.draining} draining, {workers.silent} silent")
    _tell_what_ails(status)
    for suite in status.suites:
        if suite.paused is not None:
            say(f"paused  {suite.suite}: {suite.paused}")
        if suite.quota is not None:
            say(f"quota   {suite.suite}: {suite.quota} rebuilds at once")
    for block in status.blocks:
        say(f"blocked {block.pattern}: {block.reason}")
    for event in status.events:
        say(f"{render_time(event.at)}  {event.kind}  {event.subject}: {one_line(event.detail, WHY_LIMIT)}")
    _tell_where_all_is(status)


def _tell_what_ails(status: Status) -> None:
    for wanted in status.unserved:
        what = " ".join((wanted.kind, wanted.resources, *wanted.tags))
        say(f"no worker for {counted(wanted.jobs, 'ready job')}: {what}")
    for short in status.unreachable:
        what = f"{counted(short.jobs, f'{short.kind} job')} waiting for {short.wanted.quorum} fault domains"
        say(f"quorum  {what}: {there_are(short.domains, short.wanted)}")
    for worker in status.ailing:
        silence = "never heard of" if worker.seen_at is None else f"silent for {since(worker.seen_at, status.at)}"
        seen = f"{silence}, " if worker.is_silent else ""
        say(
            f"ailing  {worker.name} ({worker.keyid[:16]}): {seen}"
            f"in a day {counted(worker.expired, 'lease')} expired, {worker.failed} failed"
        )
    for job in status.failed:
        say(f"failed  job {job.id} {job.new.kind} {job.new.target}: {job.cause}: {one_line(job.message, WHY_LIMIT)}")
    for refused in status.refusals:
        what = f"{refused.kind}  {refused.subject}: {one_line(refused.detail, WHY_LIMIT)}"
        say(f"refused {counted(refused.count, 'time')} in a day: {what}")


def _tell_where_all_is(status: Status) -> None:
    """Say who has what was shortened above."""
    if any(len(job.message) > WHY_LIMIT for job in status.failed):
        say("`rebuilder jobs show JOB` has a job's message whole")
    details = [*(each.detail for each in status.refusals), *(each.detail for each in status.events)]
    if any(len(detail) > WHY_LIMIT for detail in details):
        say("`rebuilder ledger events` has refusals and events whole")
