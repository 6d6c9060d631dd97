"""Causes that diffoscope's JSON points to, where our own readers stop: sections, catalogues, pages, pictures.

diffoscope can be fooled, so this is its word and no finding of ours: nothing here makes, changes or explains away a
verdict or a cause. What it says about code is left aside, and so are its lists of members, which we read ourselves.
A pure function of the report's bytes, so that whoever has the published JSON computes it again.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field

from rebuilder.compare.causes import is_documentation
from rebuilder.compare.diffoscope_json import Node, parse_report
from rebuilder.compare.tokens import LINE_LIMIT, Mask, explain_line
from rebuilder.compare.unified import Change, changes
from rebuilder.errors import HostileInput
from rebuilder.model.cause import Cause, in_reporting_order
from rebuilder.model.comparison import INFERABLE, Inference, InferredCause

RULE = "diffoscope-json/1"
PLACES = 60
"""How many places are kept."""
_LINES = 20_000
_CHARACTERS = 4 * 1024**2
_OURS = re.compile(r"^(?:file list|zipinfo|stat|lsattr|getfacl|line order|md5sums)\b", re.IGNORECASE)
"""Lists of members, their dates and modes: our own readers say what differs there."""
_CODE = re.compile(r"^(?:objdump|llvm-objdump)\b|--(?:disassemble|relocs|symbols|program-header|sections|dynamic)\b")
_NOT_ORDERED = re.compile(r"^(?:readelf|xxd|strings|nm)\b")
_SECTIONS = (
    (re.compile(r"-dump=\.comment\b"), Cause.TOOLCHAIN_VERSION),
    (re.compile(r"-dump=\.(?:note\.gnu\.build-id|gnu_debuglink|gnu_debugaltlink|note\.go\.buildid)\b"), Cause.BUILD_ID),
)
"""Sections that hold one thing only."""
_MASKS: tuple[Mask, ...] = (
    (Cause.BUILD_ID, re.compile(r"(?<=Build ID: )[0-9a-f]{8,128}")),
    (
        Cause.TOOLCHAIN_VERSION,
        re.compile(
            r"\bGNU (?:C|C\+\+|Fortran|Ada|D|Go|AS)\w{0,6} [\d.]{1,20}|\b(?:clang|rustc|LLVM) version [\w.+~-]{1,60}"
            r"|(?<=X-Generator: )[^\\]{1,80}|\bgo1\.\d{1,3}(?:\.\d{1,3})?"
        ),
    ),
    (Cause.HOSTNAME_OR_USER, re.compile(r"(?i:(?<=hostname: )|(?<=hostname=)|(?<=built by ))[\w.@-]{1,64}")),
    (Cause.BUILD_DATE, re.compile(r"\bD:\d{8,14}(?:[+-]\d{2}'?\d{2}'?|Z)?")),
)
_SAME_BUT_ORDER = re.compile(r"^Ordering differences only")


@dataclass(slots=True, kw_only=True, eq=False)
class _Budget:
    """How much is still looked at, over the whole report."""

    lines: int = _LINES
    characters: int = _CHARACTERS

    def allows(self, pair: tuple[str, str]) -> bool:
        self.lines -= 1
        self.characters -= min(len(pair[0]) + len(pair[1]), 2 * LINE_LIMIT)
        return self.lines >= 0 and self.characters >= 0


@dataclass(slots=True, kw_only=True, eq=False)
class _Seen:
    """What one node says."""

    causes: Counter[Cause] = field(default_factory=Counter)
    lines: int = 0


def infer(data: bytes) -> Inference:
    """Read a report and name the causes that it points to; raise HostileInput for what is no report within bounds."""
    budget = _Budget()
    found = [each for node in parse_report(data) for each in _of_node(node, budget)]
    rank = {cause: number for number, cause in enumerate(Cause)}
    found.sort(key=lambda each: (rank[each.cause], each.path, each.detail))
    found = list(dict.fromkeys(found))
    return Inference(rule=RULE, causes=tuple(found[:PLACES]), omitted=len(found[PLACES:]))


def infer_under(data: bytes, rule: str) -> Inference | None:
    """Infer once more as a document says that it was done; None for a rule that is not known here."""
    return infer(data) if rule == RULE else None


def _of_node(node: Node, budget: _Budget) -> list[InferredCause]:
    if not node.path or _OURS.search(node.name) or _CODE.search(node.name):
        return []
    seen = _of_diff(node, budget)
    if any(_SAME_BUT_ORDER.match(comment) for comment in node.comments) and not _NOT_ORDERED.search(node.name):
        seen.causes[Cause.FILE_ORDER] += 1
    if seen.lines and not seen.causes and is_documentation(f"/{node.path}"):
        seen.causes[Cause.DOCUMENTATION] = seen.lines
    if not set(seen.causes) <= INFERABLE:
        raise HostileInput(f"diffoscope's report cannot say {', '.join(sorted(set(seen.causes) - INFERABLE))}")
    return [
        InferredCause(cause=cause, path=node.path, detail=_detail(seen.causes[cause], seen.lines))
        for cause in in_reporting_order(set(seen.causes))
    ]


def _of_diff(node: Node, budget: _Budget) -> _Seen:
    seen = _Seen()
    every = tuple(changes(node.diff)) if node.diff else ()
    seen.lines = sum(change.size for change in every)
    for pattern, cause in _SECTIONS:
        if every and pattern.search(node.name):
            seen.causes[cause] = max(seen.lines, 1)
            return seen
    if _is_another_order(node, every):
        seen.causes[Cause.FILE_ORDER] = seen.lines
        return seen
    for change in every:
        for pair in change.pairs:
            if not budget.allows(pair):
                return seen
            seen.causes.update((explain_line(*pair, also=_MASKS) or frozenset()) & INFERABLE)
    return seen


def _is_another_order(node: Node, every: tuple[Change, ...]) -> bool:
    removed = sorted(line for change in every for line in change.removed)
    added = sorted(line for change in every for line in change.added)
    return len(removed) > 1 and removed == added and not _NOT_ORDERED.search(node.name)


def _detail(explained: int, lines: int) -> str:
    if not lines:
        return "diffoscope says that nothing but the order differs"
    return f"inferred from diffoscope's report: it explains {min(explained, lines)} of {lines} changed lines there"
