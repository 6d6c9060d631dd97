"""Base images of this machine: locked from signed indices, bootstrapped or pulled once, found again by their lock.

A lock is kept under the digest of what it was computed from, so that unchanged indices cost no resolution; an image is
known by its lock's digest, which is also a label of an image that was bootstrapped.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from rebuilder.build import images
from rebuilder.build.container import Engine
from rebuilder.config import Settings
from rebuilder.errors import ConfigurationError, DigestMismatch, EnvironmentUnavailable
from rebuilder.model import codec
from rebuilder.model.digest import Digest
from rebuilder.model.plan import ImageLock, Pulled
from rebuilder.origins.debian import pulled as pulling
from rebuilder.origins.debian.bootstrap import bootstrap
from rebuilder.origins.debian.image import installer, lock_image, settle
from rebuilder.origins.debian.index import named
from rebuilder.origins.debian.recipe import load_image_recipe
from rebuilder.origins.debian.supply import Supply
from rebuilder.origins.debian.view import SuiteView
from rebuilder.progress import Progress
from rebuilder.store.blobs import BlobStore
from rebuilder.store.kept import load_kept
from rebuilder.world import files


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """One image that was bootstrapped here, or pulled and found to be what its lock says."""

    lock: Digest
    """SHA-256 of the lock's canonical JSON."""
    rootfs: Digest | None
    """SHA-256 of the bootstrapped tar, the image's one layer; None for a pulled image."""
    image: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """What making an image once more gave, or pulling it once more."""

    recorded: Digest
    made: Digest
    odd: tuple[str, ...] = ()
    """Packages that only the lock or only the pulled image has."""

    @property
    def is_same(self) -> bool:
        """Whether the image follows from its lock, bit for bit; for a pulled one, whether it is found the same."""
        return self.recorded == self.made and not self.odd


class BaseImages:
    """The base images that this machine has made, and how to make more."""

    def __init__(self, settings: Settings, supply: Supply, blobs: BlobStore, progress: Progress) -> None:
        self._root = settings.images_dir
        self._chosen = dict(settings.debian.images)
        self._supply = supply
        self._blobs = blobs
        self._progress = progress

    def lock(self, view: SuiteView, *, versions: Mapping[str, str] | None = None, target: str = "") -> ImageLock:
        """Compute which packages a suite's base image is made of now, or find it computed from the same indices."""
        kept = self._root / "locked" / f"{_inputs_key(view, versions or {}).hex}.json"
        found = load_kept(kept, ImageLock)
        if found is not None:
            return found
        self._progress.phase(target or view.suite, "lock", f"packages of the base image of {view.suite}")
        lock = settle(lock_image(view, versions=versions), self.locks())
        files.write_atomically(kept, codec.render(lock))
        self.keep(lock)
        return lock

    def lock_chosen(self, view: SuiteView, engine: Engine, *, target: str = "") -> ImageLock:
        """Lock what the settings choose for a suite: an image to be pulled where they name one, else a bootstrap."""
        reference = self._chosen.get(view.suite) or self._chosen.get(view.codename)
        if reference is None:
            return self.lock(view, target=target)
        return self.lock_pulled(view, reference, engine, target=target)

    def lock_pulled(self, view: SuiteView, reference: str, engine: Engine, *, target: str = "") -> ImageLock:
        """Lock an image of a registry: pull it by digest and find each of its packages in the suite's indices.

        An image that was pulled and checked before is not asked for again while the engine holds it.
        """
        kept = self._root / "locked" / f"{_pulled_key(view, reference).hex}.json"
        found = load_kept(kept, ImageLock)
        if found is not None:
            return found
        target = target or view.suite
        image = self._held(reference, engine) or self._pull(reference, engine, target)
        self._progress.phase(target, "lock", f"packages of the pulled image {image.short}")
        installed = pulling.installed_in(engine, image)
        pulled = Pulled(reference=reference, image=image)
        lock = settle(pulling.lock_of(view, pulled, installed, self._supply.snapshot), self.locks())
        made = Made(lock=self.keep(lock), rootfs=None, image=image)
        files.write_atomically(self._made_path(made.lock), codec.render(made))
        files.write_atomically(kept, codec.render(lock))
        return lock

    def keep(self, lock: ImageLock) -> Digest:
        """Remember a lock, and that it was asked for now; return its digest."""
        data = codec.render(lock)
        digest = self._blobs.put(data)
        files.write_atomically(self._root / "locks" / f"{digest.hex}.json", data)
        return digest

    def locks(self) -> tuple[ImageLock, ...]:
        """Every lock that is remembered."""
        found = (load_kept(path, ImageLock) for path in sorted((self._root / "locks").glob("*.json")))
        return tuple(lock for lock in found if lock is not None)

    def ensure(self, lock: ImageLock, engine: Engine, *, target: str = "") -> Digest:
        """Return the id of a lock's image; bootstrap and load it, or pull it, unless the engine holds it.

        Raise DigestMismatch or UntrustedError when what is pulled is not the image that the lock names, or holds other
        packages.
        """
        digest = self.keep(lock)
        record = self._made_path(digest)
        with files.locked(self._root / f"{digest.hex}.lock"):
            made = load_kept(record, Made)
            if made is not None and engine.image(made.image) is not None:
                return made.image
            if lock.pulled is not None:
                made = self._fetch(lock, lock.pulled, digest, engine, target or lock.suite)
            else:
                made = self._make(lock, digest, engine, expected=made, target=target or lock.suite)
            files.write_atomically(record, codec.render(made))
        return made.image

    def rootfs(self, lock: ImageLock, *, target: str = "") -> Digest:
        """Return the blob of a lock's root file system, from which `load` makes the same image on another machine.

        It is bootstrapped unless it was kept before; from then on `ensure` loads it instead of making another. Raise
        ConfigurationError for an image that is pulled.
        """
        if lock.pulled is not None:
            raise ConfigurationError(
                f"the base image of {lock.suite} is pulled, and builders of a farm reach no registry",
                hint="leave debian.images out of a farm's settings: its base images are bootstrapped",
            )
        digest = self.keep(lock)
        with files.locked(self._root / f"{digest.hex}.lock"):
            made = load_kept(self._made_path(digest), Made)
            if made is not None and made.rootfs is not None and self._blobs.has(made.rootfs):
                return made.rootfs
            with self._workplace() as work:
                kept = self._blobs.put_file(self._bootstrap(lock, Path(work), target=target or lock.suite))
            if made is None:
                image = images.image_id(kept, architecture=lock.architecture, epoch=lock.epoch, labels=_labels(lock))
                files.write_atomically(
                    self._made_path(digest), codec.render(Made(lock=digest, rootfs=kept, image=image))
                )
        if made is not None and made.rootfs != kept:
            raise EnvironmentUnavailable(
                f"the root file system of lock {digest.short} came out as {kept.short}, was {made.rootfs} before",
                hint="the bootstrap is not reproducible here: `rebuilder image verify` shows it",
            )
        return kept

    def again(self, lock: ImageLock, image: Digest, engine: Engine, *, target: str = "") -> Again:
        """Make a lock's image once more, without loading it, and say whether it is the one that was recorded.

        A pulled image cannot be made: it is pulled once more, and its packages are listed once more.
        """
        if lock.pulled is not None:
            came = self._pull(lock.pulled.reference, engine, target or lock.suite)
            odd = pulling.differences(lock, pulling.installed_in(engine, came)) if came == image else ()
            return Again(recorded=image, made=came, odd=tuple(" ".join(identity) for identity in odd))
        with self._workplace() as work:
            rootfs = self._bootstrap(lock, Path(work), target=target or lock.suite)
            made = images.image_id_of(rootfs, architecture=lock.architecture, epoch=lock.epoch, labels=_labels(lock))
        return Again(recorded=image, made=made)

    def wanted(self, since: datetime) -> tuple[ImageLock, ...]:
        """Locks that were asked for since then, and have no root file system: who asked could not bootstrap one."""
        with files.storage_errors(self._root):
            asked = [path for path in (self._root / "locks").glob("*.json") if _was_written(path, since)]
        found = (load_kept(path, ImageLock) for path in sorted(asked))
        return tuple(lock for lock in found if lock and lock.pulled is None and not self.has_rootfs(lock))

    def has_rootfs(self, lock: ImageLock) -> bool:
        """Whether `rootfs` would find this lock's root file system without bootstrapping it."""
        made = load_kept(self._made_path(Digest.of(codec.render(lock))), Made)
        return made is not None and made.rootfs is not None and self._blobs.has(made.rootfs)

    def made(self) -> tuple[Made, ...]:
        """Every image that was made here and is remembered, whether or not the engine still holds it."""
        found = (load_kept(path, Made) for path in sorted((self._root / "made").glob("*.json")))
        return tuple(made for made in found if made is not None)

    def has_made(self, lock: ImageLock) -> bool:
        """Whether the image of this lock was made here before."""
        return self._made_path(Digest.of(codec.render(lock))).is_file()

    def _made_path(self, lock: Digest) -> Path:
        return self._root / "made" / f"{lock.hex}.json"

    def _held(self, reference: str, engine: Engine) -> Digest | None:
        """Find an image of this reference that was pulled and checked before, in the engine."""
        for lock in self.locks():
            pulled = lock.pulled
            if pulled is not None and pulled.reference == reference and self.has_made(lock):
                return pulled.image if engine.image(pulled.image) is not None else None
        return None

    def _pull(self, reference: str, engine: Engine, target: str) -> Digest:
        self._progress.phase(target, "image", f"pulling {reference}")
        return engine.pull(reference)

    def _fetch(self, lock: ImageLock, pulled: Pulled, digest: Digest, engine: Engine, target: str) -> Made:
        """Pull an image; nothing of it runs before its id was compared."""
        image = self._pull(pulled.reference, engine, target)
        pulling.verify_image(pulled, image)
        pulling.verify_packages(lock, pulling.installed_in(engine, image))
        return Made(lock=digest, rootfs=None, image=image)

    def _make(self, lock: ImageLock, digest: Digest, engine: Engine, *, expected: Made | None, target: str) -> Made:
        with self._workplace() as work:
            rootfs = self._kept(expected) or self._bootstrap(lock, Path(work), target=target)
            layer = files.digest_of(rootfs)
            self._progress.phase(target, "image", "loading the base image into the engine")
            image = images.load(engine, rootfs, architecture=lock.architecture, epoch=lock.epoch, labels=_labels(lock))
        made = Made(lock=digest, rootfs=layer, image=image)
        if expected is not None and expected != made:
            raise EnvironmentUnavailable(
                f"the base image of lock {digest.short} came out as {image.short}, was {expected.image.short} before",
                hint="the bootstrap is not reproducible here: `rebuilder image verify` shows it",
            )
        return made

    def _kept(self, made: Made | None) -> Path | None:
        """Find the root file system that an image was made of before; `load` names the image by what it reads."""
        if made is None or made.rootfs is None or not self._blobs.has(made.rootfs):
            return None
        return self._blobs.path(made.rootfs)

    def _bootstrap(self, lock: ImageLock, work: Path, *, target: str) -> Path:
        self._progress.phase(target, "image", f"fetching {len(lock.packages)} packages of the base image")
        debs = self._supply.bring_locked(lock)
        self._progress.phase(target, "image", f"bootstrapping {lock.suite} {lock.architecture}")
        return bootstrap(lock, debs, work / "rootfs.tar")

    def _workplace(self) -> tempfile.TemporaryDirectory[str]:
        with files.storage_errors(self._root):
            self._root.mkdir(parents=True, exist_ok=True)
            return tempfile.TemporaryDirectory(prefix="bootstrap-", dir=self._root)


def load(engine: Engine, lock: ImageLock, rootfs: Path, *, expected: Digest) -> None:
    """Load a lock's image from its root file system, unless the engine holds it; raise DigestMismatch for another."""
    if engine.image(expected) is not None:
        return
    found = images.image_id_of(rootfs, architecture=lock.architecture, epoch=lock.epoch, labels=_labels(lock))
    if found != expected:
        raise DigestMismatch(
            f"base image of {lock.suite}: expected {expected}, found {found} from its root file system",
            hint="plan anew: this root file system was not made from the lock that the plan names",
        )
    images.load(engine, rootfs, architecture=lock.architecture, epoch=lock.epoch, labels=_labels(lock))


def _was_written(path: Path, since: datetime) -> bool:
    return path.stat().st_mtime >= since.timestamp()


def _labels(lock: ImageLock) -> dict[str, str]:
    return {images.BASE_LABEL: str(Digest.of(codec.render(lock))), "rebuilder.suite": lock.suite}


def _inputs_key(view: SuiteView, versions: Mapping[str, str]) -> Digest:
    """Everything that the choice of packages depends on."""
    indices = named(view.packages_files())
    recipe = codec.to_plain(load_image_recipe())
    return Digest.of(
        codec.render(["image-lock/1", view.suite, view.architecture, indices, recipe, installer(), dict(versions)])
    )


def _pulled_key(view: SuiteView, reference: str) -> Digest:
    """Everything that the digests of a pulled image's packages depend on."""
    indices = named(view.packages_files())
    return Digest.of(codec.render(["image-pulled/1", view.suite, view.architecture, indices, reference]))
