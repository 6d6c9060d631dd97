"""A dossier in which every text that a stranger can choose was chosen by an attacker."""

from __future__ import annotations

from dataclasses import replace

from rebuilder.model.cause import Cause
from rebuilder.model.comparison import Finding, Stabilizer
from rebuilder.model.dossier import Dossier
from rebuilder.model.verdict import Verdict
from tests.publish import factory

SCRIPT = "<script>document.title='owned'</script>"
IMAGE = "<img src=x onerror=\"document.title='owned'\">"
BREAKOUT = "\"'></bdi></code></pre></title><script>document.title='owned'</script>"
REORDERED = "safe\u202egpj.exe\u2066\u200b"
TEMPLATE = "{{ 7 * 7 }}{% raw %}"


def dossier() -> Dossier:
    """Every text that a stranger can choose is chosen by an attacker; 5,000 findings, names of 10 kB."""
    evil = f"{SCRIPT}{IMAGE}{BREAKOUT}{REORDERED}{TEMPLATE}"
    start = factory.dossier(Verdict.DIFFERENT, name=f"{evil}{'n' * 10_000}", version=f"1:6{evil}")
    filename = f"{evil}{'f' * 10_000}.deb".replace("/", "\u2215")
    item = start.comparison.artifacts[0]
    findings = tuple(
        Finding(
            path=f"{evil}/{number}/{'p' * (10_000 if number < 3 else 40)}",
            cause=list(Cause)[number % 20],
            detail=evil,
            reference=evil,
            rebuilt=None,
        )
        for number in range(5_000)
    )
    proof = tuple(
        replace(item, subject=evil, reason=evil, signer=evil, issuer=evil, not_checked=(evil, evil))
        for item in start.release.evidence
    )
    compared = replace(
        item,
        filename=filename,
        findings=findings,
        findings_omitted=123_456,
        causes=tuple(Cause),
        report_notes=(evil,),
        stabilizers=(Stabilizer(name=evil, version=1),),
    )
    return replace(
        start,
        release=replace(start.release, evidence=proof, suite=evil, target=evil),
        trust=replace(start.trust, reason=evil, evidence=proof),
        comparison=replace(start.comparison, artifacts=(compared, *start.comparison.artifacts[1:]), rule=evil),
        tools=((evil, evil),),
        reason=evil,
    )
