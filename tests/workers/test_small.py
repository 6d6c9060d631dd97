"""What a worker's process does not load: an idle builder is to stay small."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rebuilder.model.job import JobKind
from workers.lean import without

NOBODYS = ("sqlalchemy", "obstore", "boto3", "rich", "celery.bin.celery")
"""Of databases, buckets, keys in clouds, terminals, Celery's command line: no worker uses them."""
OTHERS = {
    JobKind.REBUILD: ("jinja2", "rebuilder.publish.pages", "workers.roles.planner"),
    JobKind.COMPARE: ("jinja2", "docker", "workers.roles.builder"),
}
SCRIPT = """
import sys

import workers.__main__
import celery.apps.worker
import celery.concurrency.prefork
import celery.worker.consumer
import workers.tasks
from rebuilder.config import load_settings
from rebuilder.model.job import JobKind
from rebuilder.progress import Silent
from workers.starting import open_worker

open_worker(JobKind(sys.argv[1]), load_settings(), Silent())
print(*sorted(set(sys.argv[2:]) & sys.modules.keys()))
"""


@pytest.mark.parametrize("kind", [pytest.param(kind, id=kind) for kind in OTHERS])
def test_a_worker_loads_what_its_role_uses(kind: JobKind, tmp_path: Path) -> None:
    """It reaches a coordinator and no ledger, and does one of five steps: the rest would be half of its memory."""
    settings = {
        "REBUILDER_STATE": str(tmp_path / "state"),
        "REBUILDER_CACHE": str(tmp_path / "cache"),
        "REBUILDER_FARM_COORDINATOR": "http://127.0.0.1:1",
    }
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, kind, *NOBODYS, *OTHERS[kind]],
        env={**os.environ, **settings},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "\n"


def test_what_is_hidden_is_hidden_for_a_while_and_only_if_it_was_not_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """An import inside fails as if nothing were installed; outside, and of what is there already, it works."""
    monkeypatch.delitem(sys.modules, "this", raising=False)
    with without(("this", "json")):
        with pytest.raises(ModuleNotFoundError):
            __import__("this")
        assert __import__("json").loads("1") == 1
    assert "this" not in sys.modules
    assert "json" in sys.modules
