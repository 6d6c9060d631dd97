"""`rebuilder sync` from a signed archive to jobs in a ledger."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from rebuilder.config import load_settings
from rebuilder.model.job import Purpose
from rebuilder.origins.catalogues import Catalogues
from rebuilder.store.blobs import LocalBlobs
from rebuilder.store.database import Database
from rebuilder.world.http import HttpFetcher
from tests.archive.frozen import FrozenArchive
from tests.workers.verbs.conftest import Person, write_config
from workers.scheduling import Wish, sync

SUITES = ("deb:trixie", "deb:trixie-security")


def test_a_sync_owes_the_suites(ask: Callable[..., Any]) -> None:
    """Security updates before the rest; each suite by its own name; and the second sync finds nothing to do."""
    said = ask("sync", *SUITES)
    assert [(each["suite"], each["is_current"]) for each in said["changes"]] == [
        ("trixie", False),
        ("trixie-security", False),
    ]
    assert dict(said["by_purpose"]) == {"security": 2, "never-built": said["added"] - 2}
    jobs = ask("jobs", "list")["jobs"]
    assert len(jobs) == said["added"]
    assert [job["new"]["purpose"] for job in jobs[:3]] == ["security", "security", "never-built"]
    assert jobs[0]["new"]["target"] == "pkg:deb/debian/patched@2.0-1%2Bdeb13u1?arch=source&distro=trixie-security"
    again = ask("sync", *SUITES)
    assert (again["added"], [each["is_current"] for each in again["changes"]]) == (0, [True, True])
    assert said["seconds"].keys() == {"download", "opening", "reading", "ledger"}
    assert again["seconds"].keys() == {"download", "opening", "ledger"}


def test_a_sync_loads_nothing_that_plans_or_draws(config: Path, tmp_path: Path) -> None:
    """Most syncs find nothing new: what they take is mostly what they load."""
    program = (
        "import sys; from rebuilder.cli.guard import run;"
        f"code = run(['sync', 'deb:trixie', '--json', '--config', {str(config)!r}]);"
        "dear = {'rich', 'docker', 'securesystemslib', 'rebuilder.origins.debian.plan', 'rebuilder.cli.table'};"
        "print(code, sorted(dear & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.splitlines()[-1] == "0 []"


def test_a_dry_run_changes_nothing(ask: Callable[..., Any], person: Person, config: Path) -> None:
    """It says how many jobs, and that no run is there to estimate hours from."""
    cost = ask("sync", *SUITES, "--dry-run", "--quorum", "2")["estimate"]
    assert cost["jobs"] > 5
    assert cost["rebuilds"] > 2 * cost["jobs"] - 1
    assert cost["builder_hours"] is None
    code, out, _ = person("sync", "deb:trixie", "--dry-run", "--config", config)
    assert code == 0
    assert "builder-hours: unknown: no run is recorded yet" in out
    assert ask("jobs", "list")["jobs"] == []
    assert ask("sync", *SUITES, "--limit", "1", "--architecture", "all")["added"] == 1


def test_rules_of_the_settings_hold(standard_archive: FrozenArchive, person: Person, tmp_path: Path) -> None:
    """Blocks keep packages out; quotas are in the ledger before the first claim."""
    more = (
        '[farm]\nquorum = 3\n[[farm.packages]]\npattern = "gr*"\nblock = "asks for the moon"\n'
        '[[farm.suites]]\nsuite = "trixie"\nquota = 2\n'
    )
    config = write_config(tmp_path, standard_archive, more)
    assert person("sync", "deb:trixie", "--config", config)[0] == 0
    jobs = json.loads(person("jobs", "list", "--json", "--config", config)[1])["jobs"]
    assert "greeter" not in {job["new"]["name"] for job in jobs}
    assert {job["new"]["quorum"] for job in jobs} == {3}
    suites = json.loads(person("suites", "list", "--json", "--config", config)[1])["suites"]
    assert suites == [{"suite": "trixie", "paused": None, "quota": 2}]
    code, _, err = person("submit", "deb:trixie/greeter", "--config", config)
    assert (code, "greeter is blocked: asks for the moon" in err) == (2, True)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("deb:forky",), 2, "no configured mirror of debian has a suite forky"),
        (("trixie",), 2, "no origin for the ecosystem 'trixie'"),
        (("rpm:rawhide",), 2, "no origin for the ecosystem 'rpm'"),
        (("deb:trixie", "--architecture", "arm64"), 2, "expected the architectures amd64 and all, found arm64"),
        (("deb:trixie", "--quorum", "0"), 2, "0 is not in the range"),
        ((), 2, "Missing argument"),
    ],
)
def test_what_cannot_be_synced(words: tuple[str, ...], code: int, message: str, person: Person, config: Path) -> None:
    """Each with its exit code and its reason; nothing is owed."""
    found, _, err = person("sync", *words, "--config", config)
    assert (found, message in err) == (code, True), err


def test_a_spoilt_archive_is_refused(spoiled_archive: FrozenArchive, person: Person, tmp_path: Path) -> None:
    """Indices that are not those that were signed for: exit code 3, and nothing was imported."""
    spoiled_archive.truncate_indices("trixie")
    config = write_config(tmp_path, spoiled_archive)
    assert person("sync", "deb:trixie", "--config", config)[0] in {3, 4}
    assert json.loads(person("jobs", "list", "--json", "--config", config)[1])["jobs"] == []


def test_an_archive_that_went_back_is_an_event(spoiled_archive: FrozenArchive, person: Person, tmp_path: Path) -> None:
    """Refused with exit code 3; where policy accepts it, an event says so."""
    config = write_config(tmp_path, spoiled_archive)
    assert person("sync", "deb:trixie", "--config", config)[0] == 0
    spoiled_archive.publish("trixie", date=datetime.now(UTC) - timedelta(days=3))
    assert person("sync", "deb:trixie", "--config", config)[0] == 3
    config = write_config(tmp_path, spoiled_archive, "[policy]\naccept_rollback = true\n")
    assert person("sync", "deb:trixie", "--config", config)[0] == 0
    events = json.loads(person("status", "--json", "--config", config)[1])["events"]
    assert [(each["kind"], each["subject"]) for each in events] == [("archive-went-back", "debian trixie")]


@pytest.mark.live
def test_a_real_suite(tmp_path: Path) -> None:
    """Tens of thousands of offers; every one is owed once; nothing when it is looked at again."""
    settings = load_settings()
    catalogues = Catalogues(settings, HttpFetcher(), LocalBlobs(settings.blobs_dir))
    database = Database(tmp_path / "ledger.sqlite")
    wish = Wish(suites=SUITES, architectures=("amd64", "all"), quorum=2)
    at = datetime.now(UTC)
    found = sync(wish, settings.farm, database, catalogues.open, at)
    main, security = found.changes
    sys.stdout.write(f"{main}\n{security}\n{found.by_purpose}\n")
    assert main.new == main.offered > 30_000
    assert 0 < security.offered < main.offered
    counts = dict(found.by_purpose)
    assert set(counts) == {Purpose.SECURITY, Purpose.NEVER_BUILT}
    assert found.added == sum(counts.values()) <= main.offered + security.offered
    again = sync(wish, settings.farm, database, catalogues.open, at)
    assert (again.added, [each.is_current for each in again.changes]) == (0, [True, True])
