"""What the other parts of the program can re-check about a published result, handed to `rebuilder.attest.check`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

from rebuilder.attest.check_report import Helpers
from rebuilder.attest.keys import PublicKey
from rebuilder.attest.published import read_document, verify_dsse
from rebuilder.attest.withdrawal import peek
from rebuilder.compare.inference import infer_under
from rebuilder.compare.rule import rule_by_id
from rebuilder.compare.sandbox import compare_in_child
from rebuilder.config import Settings
from rebuilder.errors import SignatureRefused
from rebuilder.model.codec import DOCUMENT_LIMIT_BYTES, parse
from rebuilder.model.comparison import ArtifactComparison
from rebuilder.model.digest import Digest
from rebuilder.model.dossier import Dossier
from rebuilder.model.withdrawal import FILE_NAME, Withdrawal
from rebuilder.origins.debian.recheck import reauthenticate
from rebuilder.publish import pages, scan
from rebuilder.publish.pending import PENDING
from rebuilder.publish.summary import newest_beside, summarize
from rebuilder.world.files import read


def helpers_for(directory: Path, settings: Settings) -> Helpers:
    """Give what can be used for this result; one outside of a results tree is re-checked by its documents alone."""
    root = root_of(directory)

    def recompare(reference: Path, rebuilt: Path, recorded: ArtifactComparison) -> ArtifactComparison:
        rule = rule_by_id(load_dossier(directory).comparison.rule)
        return compare_in_child(reference, rebuilt, filename=recorded.filename, rule=rule)

    if root is None:
        return Helpers(recompare=recompare, reinfer=infer_under)
    blobs = root / "blobs"
    keyrings = _keyrings(settings)
    return Helpers(
        recompare=recompare,
        reinfer=infer_under,
        rerender=lambda path: _rendered(root, path),
        reauthenticate=(lambda dossier: reauthenticate(dossier, blobs, keyrings)) if keyrings else None,
        blobs=blobs,
    )


def load_dossier(directory: Path) -> Dossier:
    """Read the dossier of a result directory."""
    return parse(read_document(directory, "dossier.json"), Dossier)


def load_withdrawal(directory: Path, dossier: Dossier, keys: Iterable[PublicKey] = ()) -> Withdrawal | None:
    """Read the withdrawal in a result directory, whatever that is called.

    Where it is in the name of one of `keys`, its signature is verified (SignatureRefused); else that is for `check`.
    """
    if not (directory / FILE_NAME).exists():
        return None
    digest = Digest.of(read_document(directory, "dossier.json"))
    data = read_document(directory, FILE_NAME)
    withdrawal = peek(data, dossier, digest=digest, identifier=None)
    for key in keys:
        if key.keyid == withdrawal.attester:
            _verify(data, key)
    return withdrawal


def _verify(data: bytes, key: PublicKey) -> None:
    try:
        verify_dsse(data, (key,))
    except SignatureRefused as error:
        raise SignatureRefused(
            f"{FILE_NAME}: {error}", hint="somebody changed the withdrawal: fetch the result again"
        ) from error


def root_of(directory: Path) -> Path | None:
    """Find the results directory that a result lies in, by its depth and its own content."""
    whole = directory.resolve()
    if len(whole.parents) < scan.RESULT_DEPTH:
        return None
    root = whole.parents[scan.RESULT_DEPTH - 1]
    return root if (root / "blobs").is_dir() or (root / "index.json").is_file() else None


def _keyrings(settings: Settings) -> tuple[Path, ...]:
    """Name the reader's own certificates for signed archives; none on a machine that has no such keyring."""
    named = [path for archive in settings.debian.archives for path in archive.keyrings]
    every = (settings.debian.archive_keyring, *named)
    return tuple(path for path in dict.fromkeys(every) if path.is_file())


def _rendered(root: Path, directory: Path) -> Mapping[str, bytes]:
    """Render the pages of one result again from its documents, by their path within it."""
    path = PurePosixPath(directory.resolve().relative_to(root).as_posix())
    result = scan.load(root, path)
    found = {"index.html": _page(root, result)}
    for page, data in pages.report_pages(root, result):
        found[page.relative_to(path).as_posix()] = data
    return found


def _page(root: Path, result: scan.Result) -> bytes:
    """Render a result's page, which names the newest result beside it.

    Where a run has not ended publishing, or was killed, that page may still be the one from before the newest, or from
    before the withdrawal: then it is one of those that the documents gave earlier, byte for byte, or none of them.
    """
    results, _ = scan.load_package(root, PurePosixPath(*result.path.parts[:2]))
    beside = [each for each in summarize(results) if PurePosixPath(each.path).parent == result.path.parent]
    current = pages.result_page(root, result, newest_beside(beside)[result.path.parent])
    there = root / result.path / "index.html"
    if not (root / PENDING).exists() or not there.is_file():
        return current
    shown = read(there, limit_bytes=DOCUMENT_LIMIT_BYTES)
    forms = (result, replace(result, withdrawal=None))
    earlier = (pages.result_page(root, form, each) for form in forms for each in beside)
    return next((page for page in earlier if page == shown), current)
