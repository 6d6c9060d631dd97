"""Finding what `rebuilder image` speaks about: a lock file, a digest, or a suite as it is now."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

from rebuilder.build.container import Engine
from rebuilder.config import Settings
from rebuilder.errors import HostileInput, UnknownTarget, UsageError
from rebuilder.model import place
from rebuilder.model.codec import parse, render
from rebuilder.model.digest import Digest
from rebuilder.model.plan import ImageLock
from rebuilder.origins.debian.base_images import Again
from rebuilder.origins.debian.origin import DebianOrigin
from rebuilder.origins.debian.view import SuiteView
from rebuilder.progress import Progress
from rebuilder.stages.warming import Place, warm
from rebuilder.store.blobs import LocalBlobs
from rebuilder.world.files import read
from rebuilder.world.http import HttpFetcher

_LOCK_LIMIT_BYTES = 8 * 1024**2
_DIGEST_HINT = (
    "a tag may mean another image tomorrow; `docker pull NAME:TAG` prints its digest, and so does"
    " `docker image inspect --format '{{.RepoDigests}}' NAME:TAG`"
)
_DIGEST = re.compile(r"(?:sha256:)?([0-9a-f]{12,64})\Z")


class Images:
    """The base images of this machine, by what a person calls them."""

    def __init__(self, settings: Settings, progress: Progress) -> None:
        blobs = LocalBlobs(settings.blobs_dir)
        self._settings = settings
        self._progress = progress
        self._origin = DebianOrigin(settings, HttpFetcher(), blobs, progress)

    def find(self, what: str, engine: Engine) -> ImageLock:
        """Return the lock that `what` names; a suite is locked as it is now, as the settings choose."""
        if Path(what).is_file():
            return _load(Path(what))
        if match := _DIGEST.match(what):
            return self._by_digest(match[1])
        if what.startswith("sha256:"):
            raise UnknownTarget(f"{what[:80]}: no such lock", hint="`rebuilder image list` shows them")
        if "/" in what or what.endswith((".lock", ".json")):
            raise UnknownTarget(f"{what}: no such file", hint="`rebuilder image lock SUITE -o FILE` writes one")
        return self._origin.images.lock_chosen(self._view(what), engine, target=what)

    def pull(self, suite: str, reference: str, engine: Engine) -> ImageLock:
        """Lock an image of a registry with the indices of a suite."""
        try:
            place.verify_image(reference)
        except ValueError as error:
            raise UsageError(f"--pull: {error}", hint=_DIGEST_HINT) from error
        return self._origin.images.lock_pulled(self._view(suite), reference, engine, target=suite)

    def ensure(self, lock: ImageLock, engine: Engine) -> Digest:
        """Return the image's id; it is in the engine afterwards."""
        return self._origin.image(lock, engine, datetime.now(UTC))

    def prewarm(self, lock: ImageLock, image: Digest, engine: Engine) -> bool:
        """Install on an image what most builds want, for them to start from; return whether it was done now."""
        place = Place(settings=self._settings, progress=self._progress, now=datetime.now(UTC))
        return warm(lock, image, self._origin, engine, place)

    def again(self, lock: ImageLock, expected: str | None, engine: Engine) -> Again:
        """Make it once more and compare with the id given, else with the lock's, else with what was made here."""
        self._origin.vouch(lock, datetime.now(UTC))
        return self._origin.images.again(lock, self._expected(lock, expected), engine, target=lock.suite)

    def entries(self, engine: Engine) -> list[dict[str, object]]:
        """Describe each lock that is remembered, with its image."""
        made = {each.lock: each.image for each in self._origin.images.made()}
        found: list[dict[str, object]] = []
        for lock in self._origin.images.locks():
            digest = Digest.of(render(lock))
            image = made.get(digest)
            found.append(
                {
                    "suite": lock.suite,
                    "architecture": lock.architecture,
                    "lock": str(digest),
                    "packages": len(lock.packages),
                    "epoch": lock.epoch,
                    "pulled": lock.pulled.reference if lock.pulled else None,
                    "image": str(image) if image else None,
                    "loaded": image is not None and engine.image(image) is not None,
                }
            )
        return found

    def _view(self, suite: str) -> SuiteView:
        return self._origin.archive.view(suite, datetime.now(UTC))

    def _by_digest(self, start: str) -> ImageLock:
        made = {each.lock.hex: each.image.hex for each in self._origin.images.made()}
        for lock in self._origin.images.locks():
            digest = Digest.of(render(lock)).hex
            if digest.startswith(start) or made.get(digest, "").startswith(start):
                return lock
        raise UnknownTarget(f"no lock or image {start[:12]} was made here", hint="`rebuilder image list` shows them")

    def _expected(self, lock: ImageLock, given: str | None) -> Digest:
        if given is not None:
            try:
                return Digest(given.removeprefix("sha256:"))
            except ValueError as error:
                raise UsageError(
                    f"not an image id: {given[:80]!r}", hint="sha256: and 64 hexadecimal digits"
                ) from error
        if lock.pulled is not None:
            return lock.pulled.image
        digest = Digest.of(render(lock))
        for each in self._origin.images.made():
            if each.lock == digest:
                return each.image
        raise UnknownTarget(
            f"the image of lock {digest.short} was not made here yet",
            hint="`rebuilder image build`, or give --image ID",
        )


def _load(path: Path) -> ImageLock:
    try:
        return parse(read(path, limit_bytes=_LOCK_LIMIT_BYTES), ImageLock)
    except HostileInput as error:
        hint = "`rebuilder image lock SUITE -o FILE` writes one; or name a suite"
        raise HostileInput(f"{path}: not the lock of an image: {error}", hint=hint) from error


def tell_again(again: Again, lock: ImageLock) -> str:
    """Say in one line what `image verify` found; a pulled image is never said to have been made again."""
    act = "pulled" if lock.pulled else "made"
    if again.odd:
        return f"different: {again.made} holds other packages than its lock: {', '.join(again.odd[:5])}"
    if not again.is_same:
        return f"different: expected {again.recorded}, {act} {again.made}"
    if lock.pulled:
        count = len(lock.packages)
        return f"same: {again.made}, pulled once more, with the same {count} packages; not made again from them"
    return f"same: {again.made}"
