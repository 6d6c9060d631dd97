"""Reading results for `rebuilder report`, and printing them as text, Markdown or JSON."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from rich.table import Table
from rich.text import Text

from rebuilder.attest.keys import PublicKey
from rebuilder.cli.answer import page_of, to_object, variations_of
from rebuilder.cli.output import printable, say, say_json
from rebuilder.cli.rechecking import load_dossier, load_withdrawal
from rebuilder.cli.table import console_for, print_result, put, speaks_unicode
from rebuilder.cli.withdrawn import signature_of, why_withdrawn, without_verdict
from rebuilder.cli.words import colour, short, symbol
from rebuilder.errors import StorageFailure
from rebuilder.model.cause import Cause
from rebuilder.model.codec import render_time, to_plain
from rebuilder.model.dossier import Dossier
from rebuilder.model.release import Release
from rebuilder.model.trust import Trust
from rebuilder.model.verdict import Verdict
from rebuilder.model.withdrawal import Withdrawal
from rebuilder.publish import scan
from rebuilder.publish.summary import Summary, standing, summarize
from rebuilder.publish.word import Word


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedAnswer:
    """One published result, seen as an answer."""

    dossier: Dossier
    directory: Path

    @property
    def target(self) -> str:
        """See Answer."""
        return self.dossier.release.target

    @property
    def release(self) -> Release:
        """See Answer."""
        return self.dossier.release

    @property
    def trust(self) -> Trust:
        """See Answer."""
        return self.dossier.trust

    @property
    def dossiers(self) -> tuple[Dossier, ...]:
        """See Answer."""
        return (self.dossier,)

    @property
    def documents(self) -> tuple[Path, ...]:
        """See Answer."""
        return (self.directory,)

    @property
    def error(self) -> None:
        """A published result is an answer."""
        return

    @property
    def verdict(self) -> Verdict:
        """See Answer."""
        return self.dossier.verdict

    @property
    def causes(self) -> tuple[Cause, ...]:
        """See Answer."""
        return self.dossier.causes


_Rows: TypeAlias = Sequence[tuple[Summary, str]]
"""Results with what is said of each."""


def collect(results: Path, what: str | None) -> tuple[tuple[Summary, ...], tuple[scan.Unreadable, ...]]:
    """Read every result, or those of the package `what` (`cjson` or `deb/cjson`), newest first."""
    if not results.is_dir():
        raise StorageFailure(f"{results}: no such directory", hint="verify something first, or name it with --results")
    summaries: list[Summary] = []
    unreadable: list[scan.Unreadable] = []
    for package in scan.packages(results):
        if what is None or what in {package.name, str(package)}:
            found, bad = scan.load_package(results, package)
            summaries += summarize(found)
            unreadable += bad
    summaries.sort(key=lambda summary: summary.concluded_at, reverse=True)
    return tuple(summaries), tuple(unreadable)


def newest(summaries: Iterable[Summary]) -> tuple[Summary, ...]:
    """Keep the result that stands for each version and architecture, from summaries that are newest first."""
    oldest_first = reversed(tuple(summaries))
    kept = standing(oldest_first, lambda each: (each.ecosystem, each.name, each.version, each.architecture))
    return tuple(kept.values())


def print_list(
    summaries: Sequence[Summary], unreadable: Sequence[scan.Unreadable], form: str, *, superseded: bool = True
) -> None:
    """Print counts and a line for each result; of superseded ones only where asked for, and marked. JSON has all."""
    if form == "json":
        _print_json(summaries, unreadable)
        return
    current = newest(summaries)
    rows = [(each, _why(each, each in current)) for each in summaries if superseded or each in current]
    _PRINTERS[form](_headline(summaries), rows, unreadable)


def print_one(directory: Path, form: str, keys: Collection[PublicKey] = ()) -> None:
    """Print one result, artifact by artifact.

    A withdrawal in the name of one of `keys` is verified (SignatureRefused); one of another key is told as a claim.
    """
    dossier = load_dossier(directory)
    result = PublishedAnswer(dossier=dossier, directory=directory)
    withdrawal = load_withdrawal(directory, dossier, keys)
    if withdrawal is not None:
        verified = any(key.keyid == withdrawal.attester for key in keys)
        print_withdrawn(result, withdrawal, form, verified=verified)
    elif form == "json":
        say_json(to_object(result))
    elif form == "markdown":
        _print_markdown_of(result)
    else:
        print_result(result, console_for(sys.stdout))


def counts(summaries: Iterable[Summary]) -> dict[str, int]:
    """Count the verdicts; every verdict is there, also with zero, and `withdrawn` where any was."""
    counted = Counter(each.word for each in summaries)
    return {word.value: counted[word] for word in Word if word in counted or word is not Word.WITHDRAWN}


def _print_json(summaries: Sequence[Summary], unreadable: Sequence[scan.Unreadable]) -> None:
    document: dict[str, Any] = {
        "counts": counts(newest(summaries)),
        "results": to_plain(summaries),
        "unreadable": to_plain(unreadable),
    }
    say_json(document)


def _print_text(headline: str, rows: _Rows, unreadable: Sequence[scan.Unreadable]) -> None:
    console = console_for(sys.stdout)
    console.print(headline)
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    for _ in range(3):
        table.add_column(overflow="fold")
    plain = not speaks_unicode(console)
    for each, why in rows:
        shown = each.verdict if each.withdrawn is None else None
        verdict = Text(f"{symbol(shown, plain=plain)} {each.word}", style=colour(shown))
        name = f"{each.name} {each.version} {each.architecture}"
        table.add_row(verdict, printable(name), printable(why), Text(render_time(each.concluded_at), "dim"))
    if rows:
        put(table, console)
    for bad in unreadable:
        say(f"unreadable: {bad.path}: {bad.reason}")


def _why(summary: Summary, is_current: bool) -> str:  # noqa: FBT001 - of two that are read together
    why = summary.reason if summary.withdrawn is not None else ", ".join(summary.causes)
    return why if is_current else f"superseded; {why}" if why else "superseded"


def print_withdrawn(result: PublishedAnswer, withdrawal: Withdrawal, form: str, *, verified: bool) -> None:
    """Print of a withdrawn result that it is, why, what it said, and whether the signature was verified."""
    lines, dossier = [*why_withdrawn(withdrawal), signature_of(withdrawal, verified=verified)], result.dossier
    if form == "json":
        say_json(without_verdict(to_object(result), withdrawal, dossier, verified=verified))
    elif form == "markdown":
        say(f"## {_cell(result.target)}: withdrawn\n\nIt said {dossier.verdict}.\n")
        for line in lines:
            say(f"- {_cell(line)}")
    else:
        say(f"{symbol(None)} withdrawn, it said {dossier.verdict}  {short(result.target)}")
        for line in [*lines, str(page_of(result.directory))]:
            say(f"  {line}")


def _headline(summaries: Sequence[Summary]) -> str:
    if not summaries:
        return "nothing is published yet: `rebuilder verify deb:trixie/cjson`"
    current = newest(summaries)
    said = ", ".join(f"{number} {word}" for word, number in counts(current).items() if number)
    older = len(summaries) - len(current)
    return f"{len(current)} current: {said}" + (f"; {older} superseded" if older else "")


def _print_markdown(headline: str, rows: _Rows, unreadable: Sequence[scan.Unreadable]) -> None:
    say(f"{headline}\n")
    say("| verdict | package | version | architecture | causes | concluded |\n| --- | --- | --- | --- | --- | --- |")
    for each, why in rows:
        cells = (each.word, each.name, each.version, each.architecture, why)
        say(_row(*cells, render_time(each.concluded_at)))
    for bad in unreadable:
        say(f"\nunreadable: {_cell(bad.path)}: {_cell(bad.reason)}")


def _print_markdown_of(result: PublishedAnswer) -> None:
    dossier = result.dossier
    say(f"## {_cell(dossier.release.target)}: {dossier.verdict}\n")
    if dossier.reason:
        say(f"{_cell(dossier.reason)}\n")
    say("| verdict | artifact | causes | stabilizers |\n| --- | --- | --- | --- |")
    for each in dossier.comparison.artifacts:
        stabilizers = ", ".join(f"{one.name}/{one.version}" for one in each.stabilizers)
        say(_row(each.verdict, each.filename, ", ".join(each.causes), stabilizers))
    for number, line in enumerate(variations_of(result)):
        say(f"{'' if number else chr(10)}- variation {_cell(line)}")


def _row(*cells: str) -> str:
    return f"| {' | '.join(_cell(cell) for cell in cells)} |"


def _cell(text: str) -> str:
    """Text that cannot be Markdown of its own: names come from strangers."""
    escaped = "".join(f"\\{char}" if char in "\\`*_{}[]<>()#+!|~" else char for char in text)
    return escaped.replace("\n", " ")


_PRINTERS: dict[str, Callable[[str, _Rows, Sequence[scan.Unreadable]], None]] = {
    "text": _print_text,
    "markdown": _print_markdown,
}
