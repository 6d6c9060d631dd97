"""The HTML pages: values in, bytes out. What each shows is decided here and in `views`, how in `templates/`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from rebuilder.model.agreement import digest_in
from rebuilder.model.cause import in_reporting_order
from rebuilder.publish import layout, logs, scan, views, words
from rebuilder.publish.index import Index
from rebuilder.publish.links import address, page_of, to_root
from rebuilder.publish.summary import Summary, Version, group, is_alarming, newest_first
from rebuilder.publish.templates import render
from rebuilder.publish.word import Word, word_of
from rebuilder.world.files import read

ROWS = 2000
"""Versions on one index page; a longer list continues on `index-2.html`, …"""

RECENT = 12

REPORT_LIMIT_BYTES = 24 * 1024**2
"""A larger diffoscope report is offered as a download only."""


def result_page(root: Path, result: scan.Result, newest: Summary) -> bytes:
    """Return the page of one result; `newest` is the one that counts now beside it (`summary.newest_beside`)."""
    dossier = result.dossier
    log = root / result.path / "logs" / "build.log.zst"
    control_log = log.with_name("control.log.zst")
    return render(
        "result.html.j2",
        root=to_root(result.path),
        result=result,
        dossier=dossier,
        release=dossier.release,
        plan=dossier.plan,
        version=dossier.plan.version if dossier.plan else dossier.release.version,
        reading=words.reading(dossier),
        word=word_of(result.verdict, withdrawn=result.withdrawal is not None),
        withdrawal=result.withdrawal,
        instead=views.successor_href(root, result),
        alarming=is_alarming(dossier) and result.withdrawal is None,
        superseded_by=f"../{page_of(PurePosixPath(newest.path).name)}" if newest.path != str(result.path) else None,
        controls=views.controls(dossier),
        inputs=words.inputs(dossier),
        is_compared=words.is_compared(dossier),
        nothing_rebuilt=words.nothing_rebuilt(dossier),
        artifacts=views.artifacts(root, result),
        stabilizers=views.stabilizers(dossier),
        evidence=views.evidence(result),
        not_checked=views.not_checked(result),
        documents=views.documents(root, result),
        check_command=views.check_command(result),
        replay_command=views.replay_command(result),
        in_toto_commands=views.in_toto_commands(root, result),
        log_tail=logs.tail(log) if log.is_file() else None,
        control_log=control_log.is_file(),
        builders=words.builders(dossier),
        digest_in=digest_in,
        logs_of_others=views.logs_of_others(root, result),
    )


def report_pages(root: Path, result: scan.Result) -> Iterator[tuple[PurePosixPath, bytes]]:
    """(path, bytes) of the page around each diffoscope report."""
    for item in result.dossier.comparison.artifacts:
        directory = result.path / layout.document_path(f"reports/{item.filename}")
        report = root / directory / "diffoscope.html"
        if report.is_file():
            fits = report.stat().st_size <= REPORT_LIMIT_BYTES
            content = read(report, limit_bytes=REPORT_LIMIT_BYTES).decode("utf-8", "replace") if fits else None
            page = render(
                "report.html.j2",
                root=to_root(directory),
                item=item,
                release=result.dossier.release,
                notes=item.report_notes,
                content=content,
            )
            yield directory / "index.html", page


def package_page(package: PurePosixPath, summaries: Sequence[Summary], unreadable: Sequence[scan.Unreadable]) -> bytes:
    """All versions of one package with all their results."""
    versions = newest_first(group(summaries))
    newest = summaries[-1] if summaries else None
    return render(
        "package.html.j2",
        root=to_root(package),
        name_of=newest.name if newest else package.name,
        ecosystem=newest.ecosystem if newest else package.parts[0],
        versions=versions,
        current=versions[0] if versions else None,
        counts=[(word, sum(version.word is word for version in versions)) for word in _SHOWN_ORDER],
        as_of=max((summary.changed_at for summary in summaries), default=None),
        unreadable=unreadable,
        href=lambda summary: page_of(PurePosixPath(summary.path).relative_to(package)),
        href_before=lambda before: page_of(PurePosixPath(before.path).relative_to(package)),
    )


def index_pages(index: Index) -> Iterator[tuple[PurePosixPath, bytes]]:
    """(path, bytes) of the list of everything; at least one page."""
    versions = group(index.results)
    pages = [versions[start : start + ROWS] for start in range(0, len(versions), ROWS)] or [()]
    recent = sorted(index.results, key=lambda summary: (summary.changed_at, summary.path), reverse=True)
    for number, rows in enumerate(pages, start=1):
        page = render(
            "index.html.j2",
            root="",
            index=index,
            rows=rows,
            total=len(versions),
            number=number,
            pages=[(other, _index_name(other)) for other in range(1, len(pages) + 1)],
            counts=[(word, index.counts[word.value]) for word in _SHOWN_ORDER if word.value in index.counts],
            suites=sorted({summary.suite for summary in index.results}),
            causes=in_reporting_order({cause for summary in index.results for cause in summary.causes}),
            alarms=[version for version in versions if version.is_alarming],
            disagreements=[summary for summary in recent if summary.is_disagreement][:RECENT],
            regressions=[summary for summary in recent if summary.is_regression][:RECENT],
            recent=recent[:RECENT],
            href=lambda summary: page_of(summary.path),
            package_href=_package_href,
        )
        yield PurePosixPath(_index_name(number)), page


_SHOWN_ORDER = (Word.DIFFERENT, Word.WITHDRAWN, Word.UNDECIDED, Word.EQUIVALENT, Word.REPRODUCED)


def _index_name(number: int) -> str:
    return "index.html" if number == 1 else f"index-{number}.html"


def _package_href(version: Version) -> str:
    return f"{address(PurePosixPath(*PurePosixPath(version.latest[0].path).parts[:2]))}/index.html"
