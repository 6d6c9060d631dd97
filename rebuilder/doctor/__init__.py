"""What this machine lacks for verifying releases, and how to get it."""

from __future__ import annotations

from datetime import datetime

from rebuilder.config import Settings
from rebuilder.doctor.archives import examine_archives
from rebuilder.doctor.engine import examine_engine, local_data
from rebuilder.doctor.finding import Condition, Finding
from rebuilder.doctor.machine import examine_machine
from rebuilder.doctor.packages import examine_packages, load_packages
from rebuilder.doctor.reports import examine_reports
from rebuilder.doctor.trust import examine_keyrings, examine_keys
from rebuilder.world.http import Fetcher

__all__ = ["Condition", "Finding", "examine", "worst"]


def examine(settings: Settings, *, now: datetime, fetcher: Fetcher | None = None) -> tuple[Finding, ...]:
    """Look at everything that a verification needs here, and say how each thing stands.

    Without a fetcher nothing is asked of the network. Raises nothing: what cannot be looked at is a finding.
    """
    answer, engine = examine_engine(settings.engine)
    return (
        *engine,
        *examine_machine(settings, now=now, data=local_data(answer)),
        *examine_packages(load_packages()),
        *examine_keyrings(settings.debian, now=now),
        examine_reports(),
        *examine_archives(settings.debian, fetcher),
        *examine_keys(settings.state),
    )


def worst(findings: tuple[Finding, ...]) -> Condition:
    """Tell whether a verification would work here: the worst of all conditions."""
    conditions = {finding.condition for finding in findings}
    return next(
        each for each in (Condition.MISSING, Condition.WARN, Condition.OK) if each in conditions or each is Condition.OK
    )
