"""What the other parts of the program can re-check about a published result, handed to `rebuilder.attest.check`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from rebuilder.attest.check_report import Helpers
from rebuilder.config import Settings
from rebuilder.publish import pages, scan
from rebuilder.publish.summary import summarize


def helpers_for(directory: Path, settings: Settings) -> Helpers:  # noqa: ARG001 - origins will need the settings
    """Give what can be used for this result; one outside of a results tree is re-checked by its documents alone."""
    root = root_of(directory)
    if root is None:
        return Helpers()
    return Helpers(rerender=lambda path: _rendered(root, path), blobs=root / "blobs")


def root_of(directory: Path) -> Path | None:
    """Find the results directory that a result lies in, by its depth and its own content."""
    whole = directory.resolve()
    if len(whole.parents) < scan.RESULT_DEPTH:
        return None
    root = whole.parents[scan.RESULT_DEPTH - 1]
    return root if (root / "blobs").is_dir() or (root / "index.json").is_file() else None


def _rendered(root: Path, directory: Path) -> Mapping[str, bytes]:
    """Render the pages of one result again from its documents, by their path within it."""
    path = PurePosixPath(directory.resolve().relative_to(root).as_posix())
    result = scan.load(root, path)
    results, _ = scan.load_package(root, PurePosixPath(*path.parts[:2]))
    group = path.parent
    newest = [each for each in summarize(results) if PurePosixPath(each.path).parent == group][-1]
    found = {"index.html": pages.result_page(root, result, newest)}
    for page, data in pages.report_pages(root, result):
        found[page.relative_to(path).as_posix()] = data
    return found
