"""Two files to one verdict: digests first, then everything that differs, under a rule."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rebuilder.compare.collector import Collector
from rebuilder.compare.contents import compare_contents
from rebuilder.compare.deb import DebComparison
from rebuilder.compare.differences import Place
from rebuilder.compare.readers.ar import read_ar
from rebuilder.compare.readers.archive import ArchiveKind
from rebuilder.compare.readers.detect import detect
from rebuilder.compare.readers.limits import ReadLimits
from rebuilder.compare.readers.workspace import Workspace
from rebuilder.compare.rule import DEB, Rule
from rebuilder.compare.walk import Pair, Walk
from rebuilder.errors import HostileInput
from rebuilder.model.comparison import ArtifactComparison
from rebuilder.model.digest import Digest
from rebuilder.model.release import FileReference
from rebuilder.model.verdict import Verdict
from rebuilder.world.files import digest_of, storage_errors


def digests_of(reference: Path, rebuilt: Path) -> tuple[Digest, Digest]:
    """Hash both files at the same time."""
    with ThreadPoolExecutor(2) as threads:
        first, second = threads.submit(digest_of, reference), threads.submit(digest_of, rebuilt)
        return first.result(), second.result()


def compare_file(
    reference: Path,
    rebuilt: Path,
    *,
    filename: str,
    rule: Rule,
    limits: ReadLimits | None = None,
) -> ArtifactComparison:
    """Compare one artifact with its rebuild.

    1. Equal digests end it: `reproduced`.
    2. Otherwise every difference is named. All of them removed by the rule's stabilizers: `equivalent`, with those.
    3. Otherwise `different`. A part that cannot be opened within bounds counts as payload: the bytes differ, that is
       proven; and an archive that is made unreadable must never look better than one that is read.

    Reads hostile input: call it in the sandboxed child (`compare_in_child`), not in a process with keys. Raise
    StorageFailure when a file cannot be read or the scratch disk is full.
    """
    digests = digests_of(reference, rebuilt)
    references = tuple(reference_to(path, digest) for path, digest in zip((reference, rebuilt), digests, strict=True))
    if digests[0] == digests[1]:
        return ArtifactComparison(
            filename=filename, verdict=Verdict.REPRODUCED, causes=(), reference=references[0], rebuilt=references[1]
        )
    collector = Collector(rule, name=filename)
    with Workspace(limits) as first, Workspace(limits) as second:
        pair = Pair(path="", place=Place.NESTED, reference=first.open(reference), rebuilt=second.open(rebuilt))
        _compare(Walk(reference=first, rebuilt=second, collector=collector), pair, rule)
        if not collector.seen.total:
            Walk(reference=first, rebuilt=second, collector=collector).add_bytes(pair)
    findings = collector.findings()
    return ArtifactComparison(
        filename=filename,
        verdict=Verdict.DIFFERENT if collector.seen.remaining else Verdict.EQUIVALENT,
        causes=collector.causes,
        reference=references[0],
        rebuilt=references[1],
        stabilizers=collector.stabilizers,
        findings=findings,
        findings_omitted=collector.seen.total - len(findings),
    )


def _compare(walk: Walk, pair: Pair, rule: Rule) -> None:
    if rule is DEB and detect(pair.reference) is ArchiveKind.AR is detect(pair.rebuilt):
        try:
            archives = walk.both(pair, read_ar)
        except HostileInput as error:
            walk.add_bytes(pair, not_opened=str(error))
            return
        if archives[0].kind is ArchiveKind.DEB is archives[1].kind:
            DebComparison(walk).compare(pair, archives)
            return
    compare_contents(walk, pair)


def reference_to(path: Path, digest: Digest) -> FileReference:
    """Name a file by its name, size and digest."""
    with storage_errors(path):
        return FileReference(filename=path.name, size_bytes=path.stat().st_size, digest=digest)
