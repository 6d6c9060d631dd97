"""`rebuilder workers`: who may work."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rebuilder.cli import options
from rebuilder.cli.output import say, say_json
from rebuilder.errors import UsageError
from rebuilder.model.codec import render_time
from rebuilder.model.digest import Digest
from rebuilder.model.job import JobKind, ResourceClass, Worker
from rebuilder.model.quantity import parse_duration
from workers.verbs.place import ledger_at, note, now, show, since

if TYPE_CHECKING:
    from rebuilder.store.workers import Token, Workers
_SIGNING = {JobKind.PLAN: "worker", JobKind.REBUILD: "builder", JobKind.COMPARE: "comparer"}
"""Kinds of jobs whose workers the signer knows by their keys, and in which role."""


@click.group("workers", context_settings=options.CONTEXT)
def command() -> None:
    """List workers, make enrolment tokens, revoke and drain."""


@command.command("list", cls=options.JsonVerb)
@options.config_option
@options.json_option
def list_workers(config: Path | None, *, as_json: bool) -> None:
    """List every worker that ever enrolled, and every token that one may still enrol with."""
    at, workers = now(), _workers(config)
    found, tokens = workers.every(), workers.unused_tokens(at)
    if as_json:
        say_json({"workers": found, "tokens": tokens})
        return
    rows = [
        (
            each.keyid[:16],
            each.name,
            _state(each),
            ",".join(each.roles),
            ",".join(each.tags),
            each.fault_domain,
            since(each.seen_at, at),
        )
        for each in found
    ]
    rows += [
        (
            each.digest.hex[:16],
            "",
            f"token until {render_time(each.expires_at)}",
            ",".join(each.grant.roles),
            ",".join(each.grant.tags),
            each.grant.fault_domain,
            "-",
        )
        for each in tokens
    ]
    none = "no worker ever enrolled: `rebuilder workers token` is how one does"
    show(("key", "name", "state", "roles", "tags", "fault domain", "seen"), rows, none=none)


@command.command("token", cls=options.JsonVerb)
@click.option(
    "--role", "roles", multiple=True, required=True, type=click.Choice([kind.value for kind in JobKind]), help="A step."
)
@click.option("--domain", required=True, help="Fault domain: a quorum never counts two workers of one.")
@click.option("--tag", "tags", multiple=True, help="What it offers, for instance amd64.")
@click.option(
    "--resources",
    multiple=True,
    type=click.Choice([each.value for each in ResourceClass]),
    default=("small",),
    show_default=True,
    help="Which sizes of jobs it may do.",
)
@click.option("--expires", default="1 h", show_default=True, help="For how long it can be used.")
@options.config_option
@options.json_option
def token(  # noqa: PLR0913, PLR0917 - options of one verb
    roles: tuple[str, ...],
    domain: str,
    tags: tuple[str, ...],
    resources: tuple[str, ...],
    expires: str,
    config: Path | None,
    *,
    as_json: bool,
) -> None:
    """Make a one-time token that one worker enrols with; it is shown once, and only its digest is kept."""
    from rebuilder.store.workers import Grant  # noqa: PLC0415 - the database library is slow to load

    at = now()
    until = at + _duration(expires)
    grant = Grant(
        roles=tuple(JobKind(role) for role in roles),
        fault_domain=domain,
        tags=tags,
        resources=tuple(ResourceClass(each) for each in resources),
    )
    secret = _workers(config).make_token(grant, at, expires=until)
    digest = Digest.of(secret.encode())
    if as_json:
        say_json({"token": secret, "digest": digest, "expires_at": until})
        return
    say(secret)
    note(
        f"good for one key, until {render_time(until)}, or `rebuilder workers revoke {digest.hex[:16]}`; "
        "it cannot be shown again",
        f"on the worker, from a file: `python -m workers enrol {roles[0]} --name NAME --token-file FILE`",
    )


@command.command("revoke", cls=options.JsonVerb)
@click.argument("key")
@options.config_option
@options.json_option
def revoke(key: str, config: Path | None, *, as_json: bool) -> None:
    """Let a worker in no more, for ever; what it holds goes to others. KEY is its key's id, or the beginning of it.

    The key stays out when an older ledger is restored, for it is noted in `revoked` of the state directory as well. The
    signer is not told: there, `rebuilder keys unenrol` has it refuse what the key signed. A token that nobody used
    yet is revoked in the same way, by what `rebuilder workers list` calls it.
    """
    from rebuilder.store.revocations import Revocations  # noqa: PLC0415 - the database library is slow to load
    from rebuilder.store.workers import Workers  # noqa: PLC0415 - as above

    settings, database = ledger_at(config)
    workers, at = Workers(database), now()
    if token := _token_named(workers, key, at):
        workers.revoke_token(token.digest)
        say_json({"revoked": token.digest}) if as_json else say(
            f"revoked token {token.digest.hex[:16]}: nobody used it"
        )
        return
    worker = _named(workers, key)
    Revocations(settings.state).revoke(worker, workers, at)
    if as_json:
        say_json({"revoked": worker.keyid})
        return
    say(f"revoked {worker.name} ({worker.keyid[:16]})")
    for kind, role in _SIGNING.items():
        if kind in worker.roles:
            say(f"at the signer, as well: `rebuilder keys unenrol {role} {worker.keyid[:16]}`")


@command.command("drain", cls=options.JsonVerb)
@click.argument("key")
@click.option("--undo", is_flag=True, help="Give it work again.")
@options.config_option
@options.json_option
def drain(key: str, config: Path | None, *, undo: bool, as_json: bool) -> None:
    """Give a worker nothing new, until --undo; it finishes what it holds. KEY is its key's id, or a beginning of it."""
    workers = _workers(config)
    worker = _named(workers, key)
    workers.drain(worker.keyid, draining=not undo)
    draining = _named(workers, worker.keyid).draining
    if as_json:
        say_json({"worker": worker.keyid, "draining": draining})
        return
    say(f"{worker.name} {'drains' if draining else 'works again'}")
    if undo and draining:
        note("the whole farm drains", "`rebuilder drain --undo`")


def _workers(config: Path | None) -> Workers:
    from rebuilder.store.workers import Workers  # noqa: PLC0415 - the database library is slow to load

    return Workers(ledger_at(config)[1])


def _named(workers: Workers, key: str) -> Worker:
    found = [worker for worker in workers.every() if key and worker.keyid.startswith(key)]
    if len(found) != 1:
        raise UsageError(
            f"expected the key of one worker, found {len(found)} that begin with {key[:64]!r}",
            hint="`rebuilder workers list` shows them",
        )
    return found[0]


def _token_named(workers: Workers, key: str, at: datetime) -> Token | None:
    """Return the unused token whose name begins so; None when it is none, or when a worker's may be meant as well."""
    name = key.removeprefix("sha256:")
    found = [token for token in workers.unused_tokens(at) if name and token.digest.hex.startswith(name)]
    is_worker = any(worker.keyid.startswith(key) for worker in workers.every())
    return found[0] if len(found) == 1 and not is_worker else None


def _duration(text: str) -> timedelta:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise UsageError(f"--expires: {error}", hint="for instance --expires '2 h'") from error


def _state(worker: Worker) -> str:
    if worker.revoked_at is not None:
        return "revoked"
    return "draining" if worker.draining else "enrolled"
