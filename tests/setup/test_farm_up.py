"""A farm comes up on this machine from nothing but the archive, does what it is for, and goes without a trace."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
TARGET = "deb:trixie/hostname"
PATIENCE_S = 1500


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkout:
    """A copy of this checkout with a state of its own, beside whatever farm runs here."""

    root: Path
    web: str

    @property
    def project(self) -> str:
        """Compose's name for what belongs to it."""
        return f"rebuilder-{self.root.name}".lower()

    def farm(self, *words: str, timeout_s: float = 300, accepted: tuple[int, ...] = (0,)) -> str:
        """Run `python -m tools.farm` there; return what it printed."""
        environment = {**os.environ, "COMPOSE_PROJECT_NAME": self.project, "FARM_WEB": self.web}
        argv = [sys.executable, "-m", "tools.farm", *words]
        done = subprocess.run(
            argv, cwd=self.root, env=environment, capture_output=True, text=True, timeout=timeout_s, check=False
        )
        assert done.returncode in accepted, f"{words}: {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        return done.stdout

    def page(self, path: str) -> bytes:
        """Read what the farm serves."""
        with urllib.request.urlopen(f"http://{self.web}/{path}", timeout=10) as answer:
            return bytes(answer.read())


@pytest.fixture
def checkout() -> Iterator[Checkout]:
    """Copy what git knows to a short path; whatever comes up there goes with it."""
    root = Path(tempfile.mkdtemp(prefix="farm-"))
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, root / name)
    for kept in (
        "wheels",
        "wheels.lock",
        "docker-compose",
    ):  # what was fetched and verified before is not fetched again
        source, target = ROOT / ".state" / "farm" / kept, root / ".state" / "farm" / kept
        if source.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if source.is_dir() else shutil.copy2)(source, target)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        made = Checkout(root=root, web=f"127.0.0.1:{probe.getsockname()[1]}")
    try:
        yield made
    finally:
        made.farm("down", "--volumes")
        shutil.rmtree(root, ignore_errors=True)


def published(checkout: Checkout) -> list[str]:
    """Wait until the release is concluded and on the web; return the directories of its results."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        jobs = json.loads(checkout.farm("rebuilder", "jobs", "list", "--json"))["jobs"]
        states = {job["new"]["kind"]: job["state"] for job in jobs}
        assert "failed" not in states.values(), json.dumps(jobs)[:4000]
        if states.get("publish") == "done" and set(states.values()) == {"done"}:
            found = checkout.farm("run", "exec", "-T", "publisher", "find", "/results", "-name", "dossier.json")
            return [line.rpartition("/")[0] for line in found.split()]
        time.sleep(5)
    raise AssertionError(checkout.farm("run", "logs", "--tail", "30"))


@pytest.mark.engine
@pytest.mark.live
@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="a base is bootstrapped, and perhaps an engine started")
def test_a_farm_comes_up_rebuilds_publishes_and_goes(checkout: Checkout, say: Callable[[str], None]) -> None:
    """From a bootstrapped base, without registry: two builders agree on a release, it is signed, served, and it holds.

    Whether it is what Debian published is for the day to show: where not, the comparer has looked into both, caged.
    """
    began = time.monotonic()
    checkout.farm("up", timeout_s=PATIENCE_S)
    up_s = time.monotonic() - began
    checkout.farm("run", "exec", "-T", "comparer", "unshare", "--user", "--map-current-user", "--net", "true")
    checkout.farm("rebuilder", "submit", TARGET, "--quorum", "2")
    results = published(checkout)
    assert results
    for each in results:
        said = checkout.farm("rebuilder", "check", each, "--key", "/state/attestation.pub", accepted=(0, 1))
        assert said.startswith("holds: ")
        assert "2 builders' word: the same in 2 fault domains" in said
    index = checkout.page("index.html").decode()
    assert TARGET.rpartition("/")[2] in index
    say(
        f"up after {up_s:.0f} s, {TARGET} published after {time.monotonic() - began:.0f} s: {len(results)} results hold"
    )
    checkout.farm("down", "--volumes")
    assert not (checkout.root / ".state" / "engine" / "engine.json").exists()
