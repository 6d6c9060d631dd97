"""An Atom feed (RFC 4287) of the newest verdicts; regressions are a category of their own."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import UTC, datetime

from rebuilder.model.digest import Digest
from rebuilder.publish.links import page_of
from rebuilder.publish.summary import Summary
from rebuilder.publish.templates import render
from rebuilder.publish.text import visible

ENTRIES = 100

_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


def feed_atom(summaries: Sequence[Summary]) -> bytes:
    """Return the newest results, newest first; the time of the feed is that of its newest entry, never now."""
    newest = sorted(summaries, key=lambda summary: (summary.changed_at, summary.path), reverse=True)[:ENTRIES]
    return render(
        "feed.atom.j2",
        updated=newest[0].changed_at if newest else _NEVER,
        entries=[_entry(summary) for summary in newest],
    )


def _entry(summary: Summary) -> dict[str, object]:
    subject = f"{summary.name} {summary.version} ({summary.architecture}, {summary.suite})"
    return {
        "summary": summary,
        "title": visible(f"{summary.word.value}: {subject}"),
        "id": _name_of(summary.dossier),
        "href": page_of(summary.path),
        "text": visible(_text(summary)),
    }


def _text(summary: Summary) -> str:
    sentences = []
    if summary.withdrawn is not None:
        sentences.append(f"Withdrawn; it said {summary.withdrawn.verdict.value}.")
    if summary.regressed_from is not None:
        before = summary.regressed_from
        sentences.append(f"Regression: {before.version} was {before.verdict.value}.")
    if summary.causes:
        sentences.append(f"Causes: {', '.join(summary.causes)}.")
    if summary.reason:
        sentences.append(summary.reason)
    return " ".join(sentences) or "No difference."


def _name_of(digest: Digest) -> str:
    """Make an identifier that is the dossier's own digest (RFC 6920)."""
    value = base64.urlsafe_b64encode(bytes.fromhex(digest.hex)).rstrip(b"=").decode()
    return f"ni:///sha-256;{value}"
