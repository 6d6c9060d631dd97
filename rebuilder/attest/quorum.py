"""What documents say of the builders behind them: how many, in how many fault domains, and whether they agree.

With one builder it is `one builder's word`. With several, never more is said than was proven: a builder whose fault
domain is not known adds none, and builders that differ, or of which one did not succeed, vouch for nothing together.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, assert_never

from rebuilder.attest.context import Builder, Context
from rebuilder.attest.describe import digest_set
from rebuilder.model.agreement import Agreement, agreement, digest_in
from rebuilder.model.comparison import ArtifactComparison
from rebuilder.model.dossier import Dossier
from rebuilder.model.rebuild import Rebuild
from rebuilder.model.verdict import Outcome

ALONE = "one builder's word"


def is_agreed(dossier: Dossier, filename: str) -> bool:
    """Whether several builders, all of which succeeded, say the same of a file."""
    succeeded = all(run.outcome is Outcome.SUCCEEDED for run in dossier.runs)
    return bool(dossier.others) and succeeded and agreement(dossier.runs, filename) is Agreement.UNANIMOUS


def proven_domains(dossier: Dossier, context: Context, filename: str) -> int:
    """Count the fault domains in which builders are known to agree about a file; 0 where they do not."""
    return context.fault_domains([run.builder for run in dossier.runs]) if is_agreed(dossier, filename) else 0


def quorum_claim(dossier: Dossier, context: Context, comparison: ArtifactComparison) -> dict[str, Any]:
    """Give the statement's member `quorum` for one artifact."""
    if not dossier.others:
        return {"rebuilds": 1 if dossier.rebuild else 0, "note": ALONE}
    filename = comparison.filename
    return {
        "rebuilds": len(dossier.runs),
        "agreement": str(agreement(dossier.runs, filename)),
        "faultDomains": proven_domains(dossier, context, filename),
        "note": word_of_builders(dossier, context, filename),
        "builders": [
            _claim(builder, run, filename) for builder, run in zip(context.builders, dossier.runs, strict=True)
        ],
    }


def word_of_builders(dossier: Dossier, context: Context, filename: str) -> str:
    """Say whose word a verdict is, and nothing beyond it."""
    if not dossier.others:
        return ALONE
    succeeded = sum(run.outcome is Outcome.SUCCEEDED for run in dossier.runs)
    builders = f"{len(dossier.runs)} builders' word"
    match answer := agreement(dossier.runs, filename):
        case Agreement.UNANIMOUS:
            if not succeeded:
                return f"{builders}: no run succeeded"
            domains = proven_domains(dossier, context, filename)
            return f"{builders}: the same in {domains} fault domain{'s' if domains > 1 else ''}"
        case Agreement.DISAGREEING:
            return f"{builders}: they do not agree"
        case Agreement.INCOMPLETE:
            return f"{builders}: only {succeeded} succeeded"
        case _:
            assert_never(answer)


def independence_notes(dossier: Dossier, context: Context, filename: str) -> list[str]:
    """Say what is not known about whether further builders would obtain the same bytes."""
    if not is_agreed(dossier, filename):
        return ["whether an independent builder obtains the same bytes"]
    if proven_domains(dossier, context, filename) < len(dossier.runs):
        return ["whether each of the builders is in a fault domain of its own"]
    return ["whether the builders are as independent as the operator says who assigned their fault domains"]


def quorum_lines(dossier: Dossier, context: Context) -> list[str]:
    """Say what a check verified about the other builders; nothing where there are none."""
    if not dossier.others:
        return []
    named = ", ".join(run.builder for run in dossier.others)
    records = f"{len(dossier.others)} further records of the same plan, by other builders, in fresh environments"
    words = Counter(word_of_builders(dossier, context, one.filename) for one in dossier.comparison.artifacts)
    return [f"{records}: signed by {named}", *(f"{count} artifacts: {word}" for word, count in words.items())]


def _claim(builder: Builder, run: Rebuild, filename: str) -> dict[str, Any]:
    made = digest_in(run, filename)
    return {
        "builder": run.builder,
        "builderKey": builder.pem,
        "faultDomain": builder.fault_domain,
        "ordinal": run.ordinal,
        "outcome": str(run.outcome),
        "rebuilt": digest_set(made) if made is not None else None,
    }
