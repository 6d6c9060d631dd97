"""Prewarming: what most builds on an image install is installed ahead of time, when nobody waits for an answer.

A build whose packages include all of these starts from that environment, which is prepared, hashed, recorded and
checked like any other (`rebuilder.build.prepare`); a fresh one never does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from rebuilder.build.cache import PreparedIndex
from rebuilder.build.container import Engine
from rebuilder.build.prepare import key_of, prepare
from rebuilder.config import Settings
from rebuilder.errors import EnvironmentUnavailable
from rebuilder.model import codec
from rebuilder.model.digest import Digest
from rebuilder.model.dossier import Dossier
from rebuilder.model.plan import Environment, Fidelity, ImageLock, Package
from rebuilder.origins.origin import Origin
from rebuilder.origins.registry import origin_of
from rebuilder.progress import Progress
from rebuilder.stages.world import World
from rebuilder.store.kept import load_kept
from rebuilder.world import files


@dataclass(frozen=True, slots=True, kw_only=True)
class _Note:
    """What was prewarmed on an image."""

    packages: tuple[Package, ...]


def warm_after(dossier: Dossier, world: World) -> bool:
    """Prewarm the image of what was just verified, once for each state of its suite; return whether that was done.

    Not for an environment that a .buildinfo names: its image serves that one build. Raises what preparing raises.
    """
    plan, lock = dossier.plan, dossier.lock
    if plan is None or lock is None or lock.pulled is not None or plan.environment.fidelity is Fidelity.EXACT:
        return False
    if is_warm(plan.environment, world.settings):
        return False
    origin = origin_of(dossier.release.ecosystem, world.settings, world.fetcher, world.blobs, world.progress)
    return warm(
        lock,
        plan.environment.image,
        origin,
        world.engine(),
        Place(settings=world.settings, progress=world.progress, now=world.now()),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where and when to prewarm."""

    settings: Settings
    progress: Progress
    now: datetime


def warm(lock: ImageLock, image: Digest, origin: Origin, engine: Engine, place: Place) -> bool:
    """Prepare what most builds install on an image, unless it is there; return whether it was prepared now."""
    packages = _wanted(lock, origin, place.now)
    environment = _environment(lock, image, packages)
    index = PreparedIndex(place.settings.prepared_dir, engine)
    is_needed = bool(packages) and index.find(key_of(environment)) is None

    def repository(wanted: tuple[Package, ...]) -> Mapping[str, Path | bytes]:
        place.progress.phase(
            lock.suite, "prewarm", f"{len(wanted)} packages that most builds want, once; Ctrl-C leaves them out"
        )
        return origin.repository(wanted)

    if is_needed:
        with prepare(engine, index, environment, repository) as prepared:
            prepared.tree()
    files.write_atomically(_note(place.settings, environment.lock), codec.render(_Note(packages=packages)))
    return is_needed


def _wanted(lock: ImageLock, origin: Origin, now: datetime) -> tuple[Package, ...]:
    """Ask the origin; a suite that does not offer it, which a small one may not, has nothing to prewarm."""
    try:
        return origin.prewarmed(lock, now)
    except EnvironmentUnavailable:
        return ()


def is_warm(environment: Environment, settings: Settings) -> bool:
    """Whether an image was prewarmed with the versions that a build on it installs, of the packages that both have."""
    note = load_kept(_note(settings, environment.lock), _Note)
    if note is None:
        return False
    now = {(package.name, package.architecture): package.version for package in environment.packages}
    return all(now.get((each.name, each.architecture), each.version) == each.version for each in note.packages)


def _note(settings: Settings, lock: Digest) -> Path:
    return settings.images_dir / "prewarmed" / f"{lock.hex}.json"


def _environment(lock: ImageLock, image: Digest, packages: tuple[Package, ...]) -> Environment:
    """Describe an image with what is prewarmed on it; nothing is built in it, so nothing else is said."""
    return Environment(
        fidelity=Fidelity.INFERRED,
        reason="prewarmed",
        architecture=lock.architecture,
        image=image,
        lock=Digest.of(codec.render(lock)),
        packages=packages,
        variables=(),
        build_path="/build",
        hostname="rebuilder",
        user="builduser",
    )
