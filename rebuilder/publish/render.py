"""The one renderer: pages, badges, lists and feeds are a pure function of the documents under `results/`.

`render_all` makes everything again; `show` makes what one more result changes. Both give the same bytes. The lists of
everything grow with everything: who publishes much leaves them to `render_pending`, once for many results.
Nothing here looks at the clock: a page is as new as the newest conclusion it shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path, PurePosixPath

from rebuilder.errors import RebuilderError
from rebuilder.model import codec
from rebuilder.model.digest import Digest
from rebuilder.publish import index as lists
from rebuilder.publish import layout, pages, scan, summary
from rebuilder.publish.badge import badge_json, badge_svg
from rebuilder.publish.feed import feed_atom
from rebuilder.publish.pending import PENDING, pending_in
from rebuilder.publish.staging import Staging, staging
from rebuilder.world.files import read

Renewed = tuple[tuple[summary.Summary, ...], list[scan.Unreadable]]
"""What the lists of everything say about one package."""

_STATIC = ("style.css", "search.js", "icon.svg")


def render_all(root: Path) -> None:
    """Make every page, badge, list and feed again from the documents, and remove those that nothing stands behind."""
    with staging(root) as area:
        render_everything(area)


def render_result(root: Path, path: PurePosixPath) -> None:
    """Make again what the result in directory `path` (relative to the results) appears in."""
    with staging(root) as area:
        show(area, scan.load(root, path))


def render_pending(root: Path) -> bool:
    """Finish what killed runs, or runs that left the lists to this one, did not; return whether there was anything."""
    if not (root / PENDING).exists():
        return False
    with staging(root) as area:
        packages = pending_in(root)
        if packages is None:
            render_everything(area)
        else:
            _list(area, {}, packages)
    return True


def render_first(root: Path) -> bool:
    """Make the pages, were it to say that there is no result, where there are none; return whether there was need."""
    if (root / "index.html").exists():
        return False
    render_all(root)
    return True


def show(area: Staging, fresh: scan.Result, *, lists_too: bool = True) -> None:
    """Make again what one fresh result changes, and what earlier runs left; the caller holds the lock.

    Without `lists_too` its package's pages are made, and `.pending` goes on naming the package for the lists.
    """
    packages = pending_in(area.root)
    if packages is None:
        render_everything(area)
        return
    package = layout.package_path(fresh.dossier)
    renewed = _renew(area, package, fresh)
    if lists_too:
        _list(area, {package: renewed}, packages - {package})


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


def _renew(area: Staging, package: PurePosixPath, fresh: scan.Result | None = None) -> Renewed:
    """Make again everything of one package; where one result is `fresh`, what it changes there."""
    results, damaged = scan.load_package(area.root, package)
    summaries = _write_package(area, package, results, damaged)
    beside = [result for result in results if fresh is None or result.path.parent == fresh.path.parent]
    _write_results(area, beside, summaries)
    for result in results if fresh is None else (fresh,):
        for digest, found in lists.sightings(result).items():
            known = _known_sightings(area.root, digest)
            area.write(layout.by_digest_path(digest), codec.render(lists.merge_sightings(digest, known, found)))
    return lists.newest_of(summaries), damaged


def _list(area: Staging, renewed: Mapping[PurePosixPath, Renewed], packages: Iterable[PurePosixPath]) -> None:
    """Put packages into the lists of everything, those besides that are `renewed` already; then nothing is pending.

    Where the lists cannot be continued everything is made again.
    """
    index = _known_index(area.root)
    if index is None:
        render_everything(area)
        return
    every = {**renewed, **{package: _renew(area, package) for package in sorted(packages)}}
    _write_index(area, lists.replace_packages(index, {str(package): found for package, found in every.items()}))
    area.remove(PENDING)


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
