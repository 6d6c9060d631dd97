"""Which origin answers a question: one line an ecosystem."""

from __future__ import annotations

from rebuilder.config import Settings
from rebuilder.errors import UsageError
from rebuilder.origins.debian.origin import DebianOrigin
from rebuilder.origins.origin import Origin, Question
from rebuilder.progress import Progress
from rebuilder.store.blobs import LocalBlobs
from rebuilder.world.http import Fetcher

_ORIGINS = {"deb": DebianOrigin}


def origin_for(
    question: Question, settings: Settings, fetcher: Fetcher, blobs: LocalBlobs, progress: Progress
) -> Origin:
    """Return the origin of the ecosystem that a target names (the purl type); raise UsageError if there is none."""
    return origin_of(ecosystem_of(question), settings, fetcher, blobs, progress)


def origin_of(ecosystem: str, settings: Settings, fetcher: Fetcher, blobs: LocalBlobs, progress: Progress) -> Origin:
    """Return the origin of an ecosystem by its purl type; raise UsageError if there is none."""
    make = _ORIGINS.get(ecosystem)
    if make is None:
        raise UsageError(
            f"no origin for the ecosystem {ecosystem[:40]!r}", hint=f"known are: {', '.join(sorted(_ORIGINS))}"
        )
    return make(settings, fetcher, blobs, progress)


def ecosystem_of(question: Question) -> str:
    """The purl type that a question is about: of its target, else by its artifact's file name."""
    if not question.target and question.artifact is not None:
        return question.artifact.suffix.removeprefix(".") or "?"
    return question.target.removeprefix("pkg:").partition(":" if not question.target.startswith("pkg:") else "/")[0]
