"""The one renderer: pages, badges, lists and feeds are a pure function of the documents under `results/`.

`render_all` makes everything again; `render_package` makes what one more result changes. Both give the same bytes.
Nothing here looks at the clock: a page is as new as the newest conclusion it shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib.resources import files
from pathlib import Path, PurePosixPath

from rebuilder.errors import RebuilderError
from rebuilder.model import codec
from rebuilder.model.digest import Digest
from rebuilder.publish import index as lists
from rebuilder.publish import layout, pages, scan, summary
from rebuilder.publish.badge import badge_json, badge_svg
from rebuilder.publish.feed import feed_atom
from rebuilder.publish.staging import Staging, staging
from rebuilder.world.files import read

PENDING = PurePosixPath(".pending")
"""Says that a publication was begun: whoever finds it makes everything again."""

_STATIC = ("style.css", "search.js", "icon.svg")


def render_all(root: Path) -> None:
    """Make every page, badge, list and feed again from the documents, and remove those that nothing stands behind."""
    with staging(root) as area:
        render_everything(area)


def render_result(root: Path, path: PurePosixPath) -> None:
    """Make again what the result in directory `path` (relative to the results) appears in."""
    with staging(root) as area:
        if (root / PENDING).exists():
            render_everything(area)
        else:
            render_package(area, scan.load(root, path))


def render_everything(area: Staging) -> None:
    """See `render_all`; the caller holds the lock."""
    newest: list[summary.Summary] = []
    unreadable: list[scan.Unreadable] = []
    sightings: dict[Digest, list[lists.Sighting]] = {}
    for package in scan.packages(area.root):
        results, damaged = scan.load_package(area.root, package)
        if not results and not damaged:
            continue
        summaries = _write_package(area, package, results, damaged)
        _write_results(area, results, summaries)
        newest.extend(lists.newest_of(summaries))
        unreadable.extend(damaged)
        for result in results:
            for digest, found in lists.sightings(result).items():
                sightings.setdefault(digest, []).extend(found)
    for digest, seen in sightings.items():
        area.write(layout.by_digest_path(digest), codec.render(lists.merge_sightings(digest, (), seen)))
    _remove_stale_sightings(area, set(sightings))
    newest.sort(key=lambda entry: entry.path)
    _write_index(area, lists.make_index(newest, unreadable))
    area.remove(PENDING)


def render_package(area: Staging, fresh: scan.Result) -> None:
    """Make again what one fresh result changes; make everything where the lists cannot be continued."""
    index = _known_index(area.root)
    if index is None:
        render_everything(area)
        return
    package = layout.package_path(fresh.dossier)
    results, damaged = scan.load_package(area.root, package)
    summaries = _write_package(area, package, results, damaged)
    _write_results(area, [result for result in results if result.path.parent == fresh.path.parent], summaries)
    for digest, found in lists.sightings(fresh).items():
        known = _known_sightings(area.root, digest)
        area.write(layout.by_digest_path(digest), codec.render(lists.merge_sightings(digest, known, found)))
    _write_index(area, lists.replace_package(index, str(package), lists.newest_of(summaries), damaged))


def _write_package(
    area: Staging, package: PurePosixPath, results: Sequence[scan.Result], damaged: Sequence[scan.Unreadable]
) -> tuple[summary.Summary, ...]:
    """Write pointers, then the package's badges, list and page."""
    summaries = summary.summarize(results)
    for entry in lists.newest_of(summaries):
        path = PurePosixPath(entry.path).parent / "latest.json"
        area.write(path, codec.render(entry))
    versions = summary.newest_first(summary.group(summaries))
    for version in versions:
        _write_badges(area, PurePosixPath(version.latest[0].path).parent.parent, version)
    if versions:
        _write_badges(area, package, versions[0])
    area.write(package / "index.json", codec.render(lists.make_index(summaries, damaged)))
    area.write(package / "index.html", pages.package_page(package, summaries, damaged))
    return summaries


def _write_results(area: Staging, results: Iterable[scan.Result], summaries: Sequence[summary.Summary]) -> None:
    newest = summary.newest_beside(summaries)
    for result in results:
        for path, page in pages.report_pages(area.root, result):
            area.write(path, page)
        area.write(result.path / "index.html", pages.result_page(area.root, result, newest[result.path.parent]))


def _write_badges(area: Staging, directory: PurePosixPath, version: summary.Version) -> None:
    area.write(directory / "badge.svg", badge_svg(version.word))
    area.write(directory / "badge.json", badge_json(version.word))


def _write_index(area: Staging, index: lists.Index) -> None:
    for name in _STATIC:
        area.write(PurePosixPath("static", name), (files("rebuilder.publish") / "static" / name).read_bytes())
    wanted = set()
    for path, page in pages.index_pages(index):
        area.write(path, page)
        wanted.add(path.name)
    for stale in sorted(area.root.glob("index-*.html")):
        if stale.name not in wanted:
            area.remove(PurePosixPath(stale.name))
    area.write(PurePosixPath("feed.atom"), feed_atom(index.results))
    area.write(PurePosixPath("index.json"), codec.render(index))


def _known_index(root: Path) -> lists.Index | None:
    try:
        return codec.parse(read(root / "index.json", limit_bytes=codec.DOCUMENT_LIMIT_BYTES), lists.Index)
    except RebuilderError:
        return None


def _known_sightings(root: Path, digest: Digest) -> tuple[lists.Sighting, ...]:
    path = root / layout.by_digest_path(digest)
    if not path.exists():
        return ()
    try:
        return codec.parse(read(path, limit_bytes=codec.DOCUMENT_LIMIT_BYTES), lists.Sightings).results
    except RebuilderError:
        return ()


def _remove_stale_sightings(area: Staging, wanted: set[Digest]) -> None:
    names = {layout.by_digest_path(digest).name for digest in wanted}
    directory = PurePosixPath("by-digest", "sha256")
    for path in sorted((area.root / directory).glob("*.json")):
        if path.name not in names:
            area.remove(directory / path.name)
