"""deploy/alerts.yaml: what the guide lists, about what the roles export, and each alert fires when it should."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from rebuilder.model.job import JobKind
from rebuilder.store.conclusions import EventKind
from rebuilder.store.database import Database
from workers.coordinator.metrics import LedgerMetrics
from workers.metrics import Rooms, WorkerMetrics

ROOT = Path(__file__).resolve().parent.parent.parent
RULES = ROOT / "deploy" / "alerts.yaml"
GUIDE = ROOT / "docs" / "FARM.md"
UP = {'up{job="coordinator",instance="c"}': "1x180"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One alert of the file."""

    name: str
    expression: str
    lasts: str
    runbook: str


def rules() -> list[Rule]:
    """Read the file, which is written in one way only (promtool below reads it as YAML)."""
    found = []
    for block in RULES.read_text("utf-8").split("      - alert: ")[1:]:
        expression = re.search(r"^        expr: '(.*)'$", block, re.MULTILINE)
        lasts = re.search(r"^        for: (\w+)$", block, re.MULTILINE)
        runbook = re.search(r"^          runbook: docs/FARM\.md#(\w+)$", block, re.MULTILINE)
        assert expression is not None, block
        assert runbook is not None, block
        name = block.partition("\n")[0]
        found.append(
            Rule(name=name, expression=expression[1], lasts=lasts[1] if lasts else "at once", runbook=runbook[1])
        )
    return found


def test_the_guide_has_exactly_these_alerts() -> None:
    """Name, expression and how long it must hold: the guide's table says what the file does, in its order."""
    rows = re.findall(r"^\| `([A-Z][a-z]\w+)` \| `(.+?)` \| ([\w ]+) \|", GUIDE.read_text("utf-8"), re.MULTILINE)
    listed = [(name, expression.replace(r"\|", "|"), lasts) for name, expression, lasts in rows]
    assert listed == [(rule.name, rule.expression, rule.lasts) for rule in rules()]


def runbook() -> dict[str, str]:
    """Read the guide's section of each alert."""
    text = GUIDE.read_text("utf-8")
    return dict(re.findall(r"^### ([A-Z][a-z]+[A-Z]\w+)\n(.+?)(?=^#|\Z)", text, re.MULTILINE | re.DOTALL))


@pytest.mark.parametrize("listed", [lambda: list(runbook()), lambda: list(FIRES)], ids=["runbook", "courses"])
def test_no_alert_is_left_out(listed: Callable[[], list[str]]) -> None:
    """Each has its section in the runbook, and a course in which it fires; in the file's order, and no other has."""
    assert listed() == [rule.name for rule in rules()]


def test_a_section_of_the_runbook_says_what_to_do() -> None:
    """It says what to look at, what to do, and how one sees that it is over; the alert's annotation names it."""
    assert [rule.runbook for rule in rules()] == [rule.name.lower() for rule in rules()]
    for name, section in runbook().items():
        assert [word for word in ("Look:", "Do:", "Over:") if word not in section] == [], name


def test_alerts_are_about_what_is_exported(tmp_path: Path) -> None:
    """Every metric of an expression, every label and every kind in it, is one that a role really has."""
    registry, own = CollectorRegistry(), CollectorRegistry()
    WorkerMetrics(registry)
    database = Database(tmp_path / "ledger.sqlite")
    own.register(LedgerMetrics(database, lambda: datetime(2026, 11, 1, tzinfo=UTC)))
    own.register(Rooms({"cache": tmp_path}))
    exported = {family.name for each in (registry, own) for family in each.collect()} | {"up"}
    kinds = {each.value for each in (*JobKind, *EventKind)}
    for rule in rules():
        bare = re.sub(r'"[^"]*"', '""', rule.expression)
        named = set(re.findall(r"\b(?:rebuilder_\w+|up)\b", bare))
        assert named, rule
        assert named <= exported, rule
        for words in re.findall(r'\bkind=~?"([^"]+)"', rule.expression):
            assert set(words.split("|")) <= kinds, rule


FIRES: dict[str, dict[str, str]] = {
    "CoordinatorDown": {'up{job="coordinator",instance="c"}': "0x180"},
    "WorkStandsStill": {
        'rebuilder_oldest_ready_seconds{kind="plan"}': "4000x180",
        'rebuilder_recent_jobs{kind="rebuild"}': "9x180",
    },
    "WorkWithoutWorker": {'rebuilder_unserved_jobs{kind="rebuild",resources="large",tags="amd64"}': "3x180"},
    "QuorumUnreachable": {
        'rebuilder_quorum_unreachable_jobs{kind="rebuild",resources="small",tags="arm64",quorum="3"}': "6x180"
    },
    "WorkersSilent": {'rebuilder_workers{standing="silent"}': "1x180"},
    "LeasesNotSwept": {'rebuilder_silent_lease_seconds{kind="rebuild"}': "0+60x180"},
    "LeasesExpire": {'rebuilder_recent_endings{kind="rebuild",ending="expired"}': "6x180"},
    "InfrastructureFails": {'rebuilder_recent_endings{kind="rebuild",ending="failed: infrastructure"}': "6x180"},
    "BaseImagesStale": {'rebuilder_recent_endings{kind="plan",ending="failed: environment-unavailable"}': "1x180"},
    "SuiteNotSynced": {'rebuilder_index_seen_seconds{archive="debian",suite="trixie"}': "172800+60x180"},
    "SignerStuck": {
        'rebuilder_oldest_ready_seconds{kind="sign"}': "0+20x180",
        'rebuilder_leases{kind="sign"}': "1x180",
    },
    "SignerRefuses": {'rebuilder_recent_endings{kind="sign",ending="failed: untrusted-input"}': "1x180"},
    "PublisherFails": {'rebuilder_recent_endings{kind="publish",ending="failed: infrastructure"}': "2x180"},
    "BuildersDisagree": {'rebuilder_events{kind="builders-disagree"}': "0x60 1x120"},
    "ArchiveLies": {'rebuilder_events{kind="archive-went-back"}': "0x60 1x120"},
    "StrangersRefused": {'rebuilder_events{kind="worker-refused"}': "2x150 3x30"},
    "ReportsRefused": {'rebuilder_events{kind="wake-refused"}': "0+1x180"},
    "DiskFills": {'rebuilder_disk_free_bytes{directory="blobs",instance="c"}': "4e9x180"},
    "CacheOverBudget": {
        'rebuilder_disk_used_bytes{directory="downloads",instance="b"}': "30e9x180",
        'rebuilder_disk_budget_bytes{directory="downloads",instance="b"}': "20e9x180",
    },
}
"""A course of three hours, a sample a minute (promtool's notation), in which this alert fires and no other."""

ORDINARY = {
    'rebuilder_oldest_ready_seconds{kind="rebuild"}': "90000x180",
    'rebuilder_leases{kind="rebuild"}': "2x180",
    'rebuilder_oldest_ready_seconds{kind="plan"}': "90000x180",
    'rebuilder_recent_jobs{kind="plan"}': "120x180",
    'rebuilder_oldest_ready_seconds{kind="sign"}': "4x180",
    'rebuilder_oldest_ready_seconds{kind="publish"}': "9x180",
    'rebuilder_silent_lease_seconds{kind="rebuild"}': "60x180",
    'rebuilder_workers{standing="seen"}': "6x180",
    'rebuilder_recent_endings{kind="rebuild",ending="expired"}': "1x180",
    'rebuilder_recent_endings{kind="rebuild",ending="failed: build-failed"}': "30x180",
    'rebuilder_recent_endings{kind="publish",ending="done"}': "30x180",
    'rebuilder_index_seen_seconds{archive="debian",suite="trixie"}': "21600x180",
    'rebuilder_events{kind="builders-disagree"}': "3x180",
    'rebuilder_events{kind="artifact-changed"}': "1x180",
    'rebuilder_events{kind="worker-refused"}': "7x180",
    'rebuilder_events{kind="lease-refused"}': "4x150 5x30",
    'rebuilder_disk_free_bytes{directory="downloads",instance="b"}': "50e9x180",
    'rebuilder_disk_used_bytes{directory="downloads",instance="b"}': "20e9x180",
    'rebuilder_disk_budget_bytes{directory="downloads",instance="b"}': "20e9x180",
}
"""A busy farm with a long backlog and yesterday's events, on which nobody need look."""


@pytest.mark.slow
def test_each_alert_fires_alone_and_none_on_an_ordinary_day(tmp_path: Path) -> None:
    """By Prometheus's own promtool, which also says that the rules are well-formed."""
    subprocess.run(["promtool", "check", "rules", RULES], check=True, capture_output=True)
    courses = {"ordinary": ORDINARY} | FIRES
    tests = [_course(name, UP | series, fires=name in FIRES) for name, series in courses.items()]
    path = tmp_path / "tests.yaml"
    path.write_text(json.dumps({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests}))
    done = subprocess.run(["promtool", "test", "rules", path], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def _course(name: str, series: dict[str, str], *, fires: bool) -> dict[str, object]:
    expected = [{"labels": f'{{alertname="{name}"}}', "value": 1}] if fires else []
    asked = {
        "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
        "eval_time": "3h",
        "exp_samples": expected,
    }
    return {
        "name": name,
        "interval": "1m",
        "input_series": [{"series": each, "values": values} for each, values in series.items()],
        "promql_expr_test": [asked],
    }
