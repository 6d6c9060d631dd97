"""What a build leaks into text: dates, paths, users, tool versions; and whether that explains a changed line.

A line is explained when both versions of it are equal once every such token is masked. The causes are those of the
tokens that differ. Nothing is explained by being similar.
"""

from __future__ import annotations

import re

from rebuilder.model.cause import Cause

LINE_LIMIT = 4096
"""Longer lines are not looked into: what differs in them stays unexplained."""

_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]{0,6}"
_DAY = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]{0,6}"
_TIME = r"\d{1,2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?"
_ZONE = r"[+-]\d{2}:?\d{2}|[A-Z]{3,5}|Z"
_DATE = (
    rf"\b(?:{_DAY},? {{1,3}})?(?:\d{{4}}-\d{{2}}-\d{{2}}|\d{{4}}/\d{{2}}/\d{{2}}"
    rf"|{_MONTH} {{1,3}}\d{{1,2}}(?: {{1,3}}{_TIME}\0?)?,? {{1,3}}\d{{4}}"
    rf"|\d{{1,2}}(?:st|nd|rd|th)?[ -]{_MONTH}[ -]\d{{4}}|{_MONTH},? {{1,3}}\d{{4}})"
    rf"(?:[T ,]{{1,3}}{_TIME})?|\b{_TIME}\b|\b20[0-4]\d[01]\d[0-3]\d(?:\d{{4}}(?:\d\d)?)?\b"
)
_YEAR_CONTEXT = re.compile(
    r"copyright|\(c\)|©|built|build|compiled|generated|date|^\W*(?:19|20)\d\d\W*\Z", re.IGNORECASE
)
_YEAR = re.compile(r"\b(?:19|20)\d{2}\b")

Mask = tuple[Cause, re.Pattern[str]]

_MASKS: tuple[Mask, ...] = (
    (
        Cause.TOOLCHAIN_VERSION,
        re.compile(
            r"\bdh_\w{1,40}/[\w.~+-]{1,40}|\bGCC: \([^)]{1,80}\) [\d.]{1,20}|\bperl v[\d.]{1,20}"
            r"|\bPod::Man [\d.]{1,20} \(Pod::Simple [\d.]{1,20}\)"
            r"|\b(?:help2man|[Dd]oxygen|[Ss]phinx|[Pp]andoc|[Aa]sciidoctor|DocBook XSL Stylesheets) v?\d[\w.~+-]{0,30}"
        ),
    ),
    (Cause.BUILD_ID, re.compile(r"\.build-id/[0-9a-f]{2}/[0-9a-f]{14,62}")),
    (
        Cause.BUILD_PATH,
        re.compile(r"/(?:build|buildd|tmp|var/tmp|home|root|srv|usr/src|mnt|nonexistent)(?:/[\w.+~@%-]{1,255}){1,30}"),
    ),
    (Cause.HOSTNAME_OR_USER, re.compile(r"\b[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){0,8}\b")),
    (Cause.LOCALE, re.compile(r"\b(?:LC_[A-Z]{1,20}|LANG|LANGUAGE)=[\w.@:-]{0,60}")),
    (Cause.TIMEZONE, re.compile(rf"(?<=\d\d:\d\d) ?(?:{_ZONE})\b|(?<=\d\d:\d\d )(?:{_ZONE})\b(?= \d{{4}})")),
    (Cause.BUILD_DATE, re.compile(_DATE)),
)

VERSIONS: Mask = (Cause.DEPENDENCY_VERSION, re.compile(r"(?<=[ (\"'=])\d[\w.+~:-]{0,80}"))
"""Version numbers standing alone: only for files that consist of them (shlibs, symbols)."""


def explain_line(reference: str, rebuilt: str, also: tuple[Mask, ...] = ()) -> frozenset[Cause] | None:
    """Return the causes that explain how one line became the other, or None where something remains."""
    if len(reference) > LINE_LIMIT or len(rebuilt) > LINE_LIMIT:
        return None
    causes: set[Cause] = set()
    for cause, pattern in (*also, *_masks_for(reference, rebuilt)):
        if pattern.findall(reference) != pattern.findall(rebuilt):
            causes.add(cause)
        reference, rebuilt = pattern.sub("\0", reference), pattern.sub("\0", rebuilt)
    return frozenset(causes) if reference == rebuilt and causes else None


def _masks_for(reference: str, rebuilt: str) -> tuple[Mask, ...]:
    if _YEAR_CONTEXT.search(reference) and _YEAR_CONTEXT.search(rebuilt):
        return (*_MASKS, (Cause.BUILD_DATE, _YEAR))
    return _MASKS
