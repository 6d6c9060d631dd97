"""diffoscope's JSON, version 1: the output of a caged program about hostile files, read within bounds.

A report is a tree of differences: two names, comments, a unified diff or null, details. Source: `JSONPresenter` of
diffoscope. Anything else (another version, an unknown or missing member, a wrong type) is refused, never guessed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rebuilder.compare.readers.archive import shown
from rebuilder.errors import HostileInput
from rebuilder.model import codec

SIZE_LIMIT_BYTES = 16 * 1024**2
DEPTH_LIMIT = 64
NODE_LIMIT = 50_000
COMMENT_LIMIT = 1000
_PARTS_LIMIT = 1_000_000
_PATH_LIMIT = 400
_VERSION = "diffoscope-json-version"
_REQUIRED = frozenset({"source1", "source2", "unified_diff"})
_ALLOWED = _REQUIRED | {"comments", "has_internal_linenos", "details"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One difference."""

    path: str
    """Names from the outside in, without the outermost file's; printable, bounded."""
    name: str
    """Its own name: a member, or a command whose output was compared."""
    comments: tuple[str, ...]
    diff: str
    """The unified diff; empty where there is none."""


def parse_report(data: bytes) -> tuple[Node, ...]:
    """Read every difference of a report, outermost first; raise HostileInput for whatever is none within bounds."""
    if len(data) > SIZE_LIMIT_BYTES:
        raise HostileInput(f"diffoscope's JSON has {len(data)} bytes; at most {SIZE_LIMIT_BYTES} are read")
    parts = sum(data.count(mark) for mark in (b"{", b"[", b","))
    if parts > _PARTS_LIMIT:
        raise HostileInput(f"diffoscope's JSON has {parts} parts; at most {_PARTS_LIMIT} are read")
    root = codec.parse_json(data)
    if not isinstance(root, dict) or root.pop(_VERSION, None) != 1:
        raise HostileInput("diffoscope's JSON: expected version 1 of its format, found another or none")
    return tuple(_nodes(root))


def _nodes(root: Any) -> Iterator[Node]:  # noqa: ANN401 - JSON
    waiting: list[tuple[Any, str, int]] = [(root, "", 0)]
    seen = 0
    while waiting:
        plain, above, depth = waiting.pop()
        seen += 1
        if seen > NODE_LIMIT or depth > DEPTH_LIMIT:
            raise HostileInput(f"diffoscope's JSON: more than {NODE_LIMIT} differences, or {DEPTH_LIMIT} levels")
        _verify_shape(plain)
        path = shown(f"{above}/{plain['source1']}" if above else plain["source1"], _PATH_LIMIT) if depth else ""
        yield Node(
            path=path,
            name=plain["source1"],
            comments=tuple(plain.get("comments", ())),
            diff=plain["unified_diff"] or "",
        )
        waiting += [(detail, path, depth + 1) for detail in reversed(plain.get("details", ()))]


def _verify_shape(plain: Any) -> None:  # noqa: ANN401 - JSON
    if not isinstance(plain, dict) or not _REQUIRED <= plain.keys() <= _ALLOWED:
        raise HostileInput(f"diffoscope's JSON: a difference has {', '.join(sorted(_REQUIRED))}, and nothing unknown")
    comments, details = plain.get("comments", []), plain.get("details", [])
    holds = (
        isinstance(plain["source1"], str)
        and isinstance(plain["source2"], str)
        and (plain["unified_diff"] is None or isinstance(plain["unified_diff"], str))
        and isinstance(plain.get("has_internal_linenos", False), bool)
        and isinstance(comments, list)
        and len(comments) <= COMMENT_LIMIT
        and all(isinstance(comment, str) for comment in comments)
        and isinstance(details, list)
    )
    if not holds:
        raise HostileInput("diffoscope's JSON: a member of a difference has a wrong type or too many parts")
