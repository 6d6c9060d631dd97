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

from tools import daemon, farm_services

ROOT = Path(__file__).resolve().parent.parent.parent
TARGET = "deb:trixie/hostname"
PATIENCE_S = 1500
AWAY_S = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkout:
    """A copy of this checkout with a state of its own, beside whatever farm runs here."""

    root: Path
    web: str

    @property
    def builds(self) -> Path:
        """Where the engine that builds keeps its things: it is this farm's alone, for it is stopped meanwhile."""
        return self.root / "b"

    @property
    def project(self) -> str:
        """Compose's name for what belongs to it."""
        return f"rebuilder-{self.root.name}".lower()

    def farm(self, *words: str, timeout_s: float = 300, accepted: tuple[int, ...] = (0,)) -> str:
        """Run `python -m tools.farm` there; return what it printed."""
        environment = {
            "COMPOSE_PROJECT_NAME": self.project,
            "DOCKER_HOST": daemon.below(self.builds).address,
            "FARM_SUITES": "",
            "FARM_WEB": self.web,
        }
        return self._run(("-m", "tools.farm", *words), environment, timeout_s, accepted)

    def engine(self, verb: str) -> None:
        """Start or stop the engine that builds."""
        self._run(("-m", "tools.engine", verb, "--root", str(self.builds)), {}, 120, (0,))

    def containers(self, *words: str) -> list[str]:
        """List what builds of ours are in their engine."""
        listed = ["docker", "--host", daemon.below(self.builds).address, "ps", "--quiet", *words]
        done = subprocess.run(listed, capture_output=True, text=True, timeout=60, check=True)
        return done.stdout.split()

    def _run(self, words: tuple[str, ...], more: dict[str, str], timeout_s: float, accepted: tuple[int, ...]) -> str:
        done = subprocess.run(
            [sys.executable, *words],
            cwd=self.root,
            env={**os.environ, **more},
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
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
        made.engine("up")
        yield made
    finally:
        made.farm("down", "--volumes", accepted=(0, 4))
        made.engine("down")
        shutil.rmtree(root, ignore_errors=True)


def published(checkout: Checkout) -> list[str]:
    """Wait until the release is concluded and on the web; return the directories of its results.

    Jobs may fail for a while, as one does whose engine was stopped, and are tried again.
    """
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


def begun(checkout: Checkout) -> None:
    """Wait until something is built."""
    deadline = time.monotonic() + PATIENCE_S
    while not checkout.containers():
        assert time.monotonic() < deadline, checkout.farm("run", "logs", "--tail", "30")
        time.sleep(1)


def standing(checkout: Checkout) -> set[str]:
    """How the services stand."""
    listed = checkout.farm("run", "ps", "--all", "--format", "json")
    return {service.standing for service in farm_services.standing(listed)}


@pytest.mark.engine
@pytest.mark.live
@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="a base is bootstrapped, and engines are started")
def test_a_farm_comes_up_rebuilds_publishes_and_goes(checkout: Checkout, say: Callable[[str], None]) -> None:
    """From a bootstrapped base, without registry: two builders agree on a release, it is signed, served, and it holds.

    1. There is a front page before there is a result. 2. The base image that the planner lacks is made for it. 3. The
    builds' engine stops in the middle, and is found again. 4. Whether the release is what Debian published is for the
    day to show: where not, the comparer has looked into both, caged. 5. Nothing is left.
    """
    began = time.monotonic()
    checkout.farm("up", timeout_s=PATIENCE_S)
    up_s = time.monotonic() - began
    checkout.farm("run", "exec", "-T", "comparer", "unshare", "--user", "--map-current-user", "--net", "true")
    # 1.
    assert b"Nothing has been published here yet." in checkout.page("")
    # 2.
    checkout.farm("rebuilder", "submit", TARGET, "--quorum", "2")
    begun(checkout)
    assert '"event": "made"' in checkout.farm("run", "logs", "bases")
    # 3.
    checkout.engine("down")
    time.sleep(AWAY_S)
    checkout.engine("up")
    results = published(checkout)
    assert checkout.containers("--all") == []
    assert standing(checkout) == {"healthy"}
    # 4.
    assert results
    for each in results:
        said = checkout.farm("rebuilder", "check", each, "--key", "/state/attestation.pub", accepted=(0, 1))
        assert said.startswith("holds: ")
        assert "2 builders' word: the same in 2 fault domains" in said
    assert TARGET.rpartition("/")[2] in checkout.page("index.html").decode()
    say(
        f"up after {up_s:.0f} s, {TARGET} published after {time.monotonic() - began:.0f} s, of which the engine was "
        f"away {AWAY_S} s: {len(results)} results hold"
    )
    # 5.
    checkout.farm("down", "--volumes")
    assert not (checkout.root / ".state" / "engine" / "engine.json").exists()
