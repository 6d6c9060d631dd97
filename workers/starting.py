"""Putting a role's process together from the settings: where the roles meet this machine.

A worker's own key is `<state>/keys/<role>.pem`; `make up`, or the operator, puts it there. Workers reach the farm's
blobs through the coordinator, so that a key to the object store or the database is on no worker.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from rebuilder.attest.keys import PublicKey, Role
from rebuilder.attest.keystore import ensure_key, key_uri, load_public_key, passphrase_from_file
from rebuilder.attest.signing import open_signer
from rebuilder.build.container import Engine
from rebuilder.config import FarmSettings, Settings
from rebuilder.errors import ConfigurationError, EngineFailure, HostileInput, NetworkFailure, SignatureRefused
from rebuilder.model import codec
from rebuilder.model.job import JobKind, ResourceClass
from rebuilder.progress import Progress
from rebuilder.stages.tidying import sweep_first
from rebuilder.store.blobs import LocalBlobs
from rebuilder.world.files import read, storage_errors
from rebuilder.world.http import Fetcher, HttpFetcher
from workers.lease.client import HttpLeases, RemoteBlobs
from workers.lease.http import Wire
from workers.observing import Check
from workers.roles.nowhere import Nowhere
from workers.roles.place import Place, Step
from workers.serving import Post, do_nothing
from workers.tidied import tidied

if TYPE_CHECKING:
    from rebuilder.store.workers import Workers
    from workers.blobs import Bucket, BucketBlobs

_SECRET_LIMIT_BYTES = 4096
_MEMBER_LIMIT_BYTES = 64 * 1024
_TOKEN_LASTS = timedelta(minutes=5)
_ENGINE_BACK_S = 60.0
"""How long a worker waits for an engine that is being restarted before it leaves its work to others."""
_ENGINE_PAUSE_S = 2.0
ROLE_OF = {
    JobKind.PLAN: Role.WORKER,
    JobKind.REBUILD: Role.BUILDER,
    JobKind.COMPARE: Role.COMPARER,
    JobKind.SIGN: Role.WORKER,
    JobKind.PUBLISH: Role.WORKER,
}


def now() -> datetime:
    """Tell the time."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A worker, ready to serve, and what to ask for its health."""

    post: Post
    checks: dict[str, Check]
    """What it needs: its coordinator, and where it has one its engine."""


def open_worker(
    kind: JobKind, settings: Settings, progress: Progress, looked: Callable[[bool], None] = lambda _: None
) -> Opened:
    """Make a worker of one kind; raise ConfigurationError when it is not told where its coordinator is.

    `looked` is told whether the cache had a blob that a step asked for.
    """
    if settings.farm.coordinator is None:
        raise ConfigurationError("no coordinator: farm.coordinator is not set", hint="name its address")
    if kind is JobKind.PLAN and settings.debian.images:
        suites = ", ".join(suite for suite, _ in settings.debian.images)
        raise ConfigurationError(
            f"debian.images: base images of {suites} would be pulled, and a farm's are bootstrapped",
            hint="builders reach no registry, they make images from root file systems: leave debian.images out",
        )
    state, role = settings.state, ROLE_OF[kind]
    ensure_key(state, role)
    signer = open_signer(key_uri(state, role))
    wire = Wire(settings.farm.coordinator, signer, authority=settings.farm.authority_file)
    blobs = LocalBlobs(settings.blobs_dir)
    builds = kind in {JobKind.PLAN, JobKind.REBUILD}
    engine = engine_of(settings, progress) if builds else _no_engine
    place = Place(
        settings=settings,
        blobs=blobs,
        store=RemoteBlobs(wire, blobs, looked),
        engine=engine,
        fetcher=_fetcher(kind),
        signer=signer,
        progress=progress,
        now=now,
    )
    leases = HttpLeases(wire)
    step, rest = _step(kind, settings)
    post = Post(
        kind=kind,
        step=tidied(step),
        place=place,
        leases=leases,
        heartbeat_s=settings.farm.heartbeat_s,
        rest=rest,
    )
    if builds:
        post = replace(post, ready=lambda: await_engine(engine))
    checks: dict[str, Check] = {"coordinator": lambda: _verify_able(wire, leases), "key": leases.verify_accepted}
    if builds:
        checks["engine"] = lambda: _verify_answers(engine)
    return Opened(post=post, checks=checks)


def engine_of(settings: Settings, progress: Progress) -> Callable[[], Engine]:
    """Connect when an engine is first needed, and once; what killed workers of this machine left there goes then.

    Raises EngineFailure as long as there was none that answered.
    """
    from rebuilder.build.engine import DockerEngine  # noqa: PLC0415 - of the roles that have an engine

    @cache
    def engine() -> Engine:
        opened = DockerEngine(settings.engine)
        opened.leftovers()
        sweep_first(settings, opened, progress)
        return opened

    return engine


def _no_engine() -> Engine:
    raise EngineFailure(
        "this role has no engine: only planner and builders do", hint="its program and the coordinator's may differ"
    )


def open_blobs(settings: Settings) -> LocalBlobs | BucketBlobs:
    """Open the farm's own blob store: a directory, or a bucket with a directory in front."""
    place, local = settings.farm.blobs, LocalBlobs(settings.blobs_dir)
    if place is None:
        return local
    if not place.startswith("s3://"):
        return LocalBlobs(Path(place))
    from workers.blobs import BucketBlobs  # noqa: PLC0415 - of the coordinator alone

    return BucketBlobs(bucket_of(settings.farm), local)


def bucket_of(farm: FarmSettings) -> Bucket:
    """Read where the bucket is, and the key to it; raise ConfigurationError when a part is missing."""
    from workers.blobs import Bucket  # noqa: PLC0415 - of the coordinator alone

    parts = urlsplit(farm.blobs or "")
    return Bucket(
        endpoint=farm.blobs_endpoint or "",
        name=parts.netloc,
        prefix=parts.path.strip("/"),
        access_key_id=farm.blobs_key_id or "",
        secret_access_key=secret(farm.blobs_secret_file) or "",
    )


def secret(path: Path | None) -> str | None:
    """Read the first line of a file; None when none is named."""
    if path is None:
        return None
    return read(path, limit_bytes=_SECRET_LIMIT_BYTES).decode("utf-8", "replace").partition("\n")[0].strip()


def attester_of(settings: Settings) -> PublicKey:
    """Load the signer's public key, which every document names: the coordinator has that half alone."""
    return load_public_key(settings.state / "attestation.pub")


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A worker whom the operator enrols by a file, instead of by a token."""

    name: str
    pem: str
    roles: tuple[JobKind, ...]
    tags: tuple[str, ...]
    fault_domain: str
    resources: tuple[ResourceClass, ...]


def enrol_members(directory: Path, workers: Workers) -> tuple[str, ...]:
    """Enrol whom the operator's directory names and the ledger does not know; return their names.

    A worker who was revoked stays revoked: the ledger knows him, from `Revocations` if it is older.
    """
    from rebuilder.store.workers import Grant  # noqa: PLC0415 - of the coordinator alone

    made = []
    for member in _members(directory):
        key = PublicKey(pem=member.pem)
        if workers.find(key.keyid) is not None:
            continue
        at = now()
        grant = Grant(
            roles=member.roles, fault_domain=member.fault_domain, tags=member.tags, resources=member.resources
        )
        workers.enrol(workers.make_token(grant, at, expires=at + _TOKEN_LASTS), key, member.name, at)
        made.append(member.name)
    return tuple(made)


def _members(directory: Path) -> Iterator[Member]:
    if not directory.is_dir():
        return
    with storage_errors(directory):
        paths = sorted(directory.glob("*.json"))
    for path in paths:
        try:
            yield codec.parse(read(path, limit_bytes=_MEMBER_LIMIT_BYTES), Member)
        except HostileInput as error:
            raise ConfigurationError(
                f"{path}: expected a worker, found {str(error)[:200]}", hint="correct it, or remove it"
            ) from error


def _step(kind: JobKind, settings: Settings) -> tuple[Step, Callable[[], None]]:
    """Give what a role does with a job, and what it does when none is owed; no other role is loaded for it."""
    match kind:
        case JobKind.PLAN:
            from workers.roles.planner import plan  # noqa: PLC0415 - of this role alone

            return plan, do_nothing
        case JobKind.REBUILD:
            from workers.roles.builder import rebuild  # noqa: PLC0415 - of this role alone

            return rebuild, do_nothing
        case JobKind.COMPARE:
            from workers.roles.comparer import compare  # noqa: PLC0415 - of this role alone

            return compare, do_nothing
        case JobKind.SIGN:
            from workers.roles.signer import signing_with  # noqa: PLC0415 - of this role alone

            file = settings.passphrase_file
            passphrase = passphrase_from_file(file) if file else None
            signer = open_signer(key_uri(settings.state, Role.ATTESTATION), passphrase=passphrase)
            return signing_with(signer), do_nothing
        case JobKind.PUBLISH:
            from workers.roles.publisher import Publisher  # noqa: PLC0415 - of this role alone

            publisher = Publisher(settings.results)
            return publisher.publish, publisher.rest


def _verify_able(wire: Wire, leases: HttpLeases) -> None:
    """Raise NetworkFailure unless the coordinator answers, and has the ledger in which it looks a key up.

    What it says of the key is not asked here.
    """
    answer = wire.ask("GET", "/v1/time", again=False)
    if answer.status != 200:
        raise NetworkFailure(
            f"the coordinator answers with status {answer.status}",
            hint="look at its log; farm.coordinator may name something else",
        )
    with suppress(SignatureRefused):
        leases.verify_accepted()


def await_engine(
    engine: Callable[[], Engine], patience_s: float = _ENGINE_BACK_S, pause_s: float = _ENGINE_PAUSE_S
) -> None:
    """Return as soon as the engine answers; raise EngineFailure when it does not within so long."""
    until = time.monotonic() + patience_s
    while True:
        try:
            _verify_answers(engine)
        except EngineFailure:
            if time.monotonic() > until:
                raise
            time.sleep(pause_s)
        else:
            return


def _verify_answers(engine: Callable[[], Engine]) -> None:
    """Raise EngineFailure unless the engine answers now; what it said of itself before is remembered, and no proof."""
    engine().leftovers()


def _fetcher(kind: JobKind) -> Fetcher:
    """Only the planner downloads."""
    return HttpFetcher() if kind is JobKind.PLAN else Nowhere()
