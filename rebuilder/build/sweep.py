"""What killed runs left behind: containers, volumes, images of environments that nobody recorded, scratch directories.

A thing is removed when its labels name an owner that is certainly dead (see `Owner.is_alive`), or one that this machine
cannot judge and that is older than any build may be. What a living run owns is never touched, nor anything that does
not carry our label.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from rebuilder.build.cache import PreparedIndex
from rebuilder.build.container import PREPARED_LABEL, Engine, ImageRecord
from rebuilder.build.owner import Owner
from rebuilder.errors import EngineFailure
from rebuilder.world import scratch

FOREIGN_AGE = timedelta(days=2)
"""How long a thing of another machine's, or without a readable owner, is left alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """How much was removed."""

    containers: int = 0
    volumes: int = 0
    images: int = 0
    directories: int = 0


def sweep(
    engine: Engine, index: PreparedIndex, *, foreign_age: timedelta = FOREIGN_AGE, roots: Sequence[Path] = ()
) -> Swept:
    """Remove what dead runs left; raise EngineFailure when the engine does not answer.

    Directories are looked for in the system's place for temporary files and in `roots`.
    """
    found = engine.leftovers()
    dead = [leftover for leftover in found if is_abandoned(leftover.labels, foreign_age)]
    containers = [leftover for leftover in dead if leftover.kind == "container"]
    volumes = [leftover for leftover in dead if leftover.kind == "volume"]
    for leftover in (*containers, *volumes):  # a volume can go once no container mounts it
        engine.remove(leftover)
    return Swept(
        containers=len(containers),
        volumes=len(volumes),
        images=_sweep_images(engine, index, foreign_age),
        directories=sum(sweep_scratch(root, foreign_age) for root in (Path(tempfile.gettempdir()), *roots)),
    )


def is_abandoned(labels: Mapping[str, str], foreign_age: timedelta) -> bool:
    """Judge by labels whether nobody will come back for the thing."""
    owner = Owner.of(labels)
    if owner is None:
        return False
    alive = owner.is_alive()
    if alive is None:
        return time.time() - owner.made > foreign_age.total_seconds()
    return not alive


def _sweep_images(engine: Engine, index: PreparedIndex, foreign_age: timedelta) -> int:
    kept = {record.image for record in index.records()}
    removed = 0
    for image in engine.images():
        if PREPARED_LABEL not in image.labels or image.image in kept:
            continue
        if _is_forgotten(image, foreign_age):
            with suppress(EngineFailure):  # another environment was prepared from it
                engine.remove_image(image.image)
                removed += 1
    return removed


def _is_forgotten(image: ImageRecord, foreign_age: timedelta) -> bool:
    """Whether nobody's index can name an image: it was for one run, or is old.

    Another cache directory on this machine has an index of its own, which is not looked at: what it may name is left to
    it until it is old.
    """
    if not is_abandoned(image.labels, foreign_age):
        return False
    if image.labels[PREPARED_LABEL].startswith("fresh:"):
        return True
    return time.time() - image.made_at.timestamp() > foreign_age.total_seconds()


def sweep_scratch(root: Path, foreign_age: timedelta) -> int:
    """Remove the directories in `root` whose process is dead, or unknown to us and old; return how many went."""
    removed = 0
    for path in root.glob(f"{scratch.START}*"):
        with suppress(OSError):
            if path.is_symlink() or not path.is_dir() or not _is_left_behind(path, foreign_age):
                continue
            shutil.rmtree(path, ignore_errors=True)
            removed += not path.exists()
    return removed


def _is_left_behind(path: Path, foreign_age: timedelta) -> bool:
    alive = scratch.is_alive(path.name)
    if alive is None:
        return time.time() - path.stat().st_mtime > foreign_age.total_seconds()
    return not alive
