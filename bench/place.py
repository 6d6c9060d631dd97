"""A cache, state and results of the benchmarks' own, and the base image that both sides build in."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from bench.timing import Run, measure
from rebuilder.config import load_settings
from rebuilder.origins.debian.mirrors import archives_for

REBUILDER = Path(sys.executable).with_name("rebuilder")
SUITE = "trixie"
_ANSWERS = frozenset({0, 1})
"""Exit codes of a run that came to a verdict."""


class LeftOut(Exception):
    """A benchmark that cannot be run here; the reason is for the page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """One measured `rebuilder verify`, and what it said."""

    run: Run
    answer: dict[str, Any]
    """The object of `--json`."""

    @property
    def rebuilt(self) -> dict[str, str]:
        """SHA-256 of each .deb that the rebuild made, as far as it has a reference."""
        return {each["filename"]: each["rebuilt"]["sha256"] for each in self.answer["artifacts"] if each["rebuilt"]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginnings:
    """A measured `rebuilder verify` for each way to begin, beside peers that have only one or two."""

    bare: Verified
    """Nothing is cached."""
    cold: Verified
    """The base image is there."""
    warm: Verified
    """The environment is prepared, too."""
    is_bare: bool
    """Whether the engine let go of the base image; it keeps the layer where other images are built on it."""


class Place:
    """Where the benchmarks run. Nothing here is shared with the user's own cache, state and results."""

    def __init__(self, root: Path = Path(".state/bench")) -> None:
        self.root = root.absolute()
        self.image = ""
        self._beginnings: dict[str, Beginnings] = {}
        self.environment = {
            "REBUILDER_CACHE": str(self.root / "cache"),
            "REBUILDER_STATE": str(self.root / "state"),
            "REBUILDER_RESULTS": str(self.root / "results"),
        }

    def __enter__(self) -> Self:
        """Make the directory."""
        self.root.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        """Forget the results; the cache stays for the next run."""
        shutil.rmtree(self.root / "results", ignore_errors=True)

    def prepare(self) -> None:
        """Bootstrap the base image, so that no measurement but those of a bare machine pays for it."""
        made = self.rebuilder("image", "build", SUITE, "--json")
        self.image = json.loads(made.output)["image"]
        say(f"base image {self.image[:19]}")

    def cold(self) -> None:
        """Forget all but what `rebuilder image build` makes: environments, downloads, indices, apt's answers."""
        self.rebuilder("cache", "clear")
        self.prepare()
        for name in ("blobs", "dependencies", "indices"):
            shutil.rmtree(self.root / "cache" / name, ignore_errors=True)

    def bare(self) -> bool:
        """Forget the base image as well; False when the engine keeps it, because other images are built on it."""
        self.rebuilder("cache", "clear")
        shutil.rmtree(self.root / "cache", ignore_errors=True)
        tag = f"rebuilder/base:{self.image.removeprefix('sha256:')[:12]}"
        return subprocess.run([self.engine_client(), "rmi", tag], capture_output=True, check=False).returncode == 0

    def verify(self, package: str) -> Verified:
        """Verify the newest version of a package of the suite."""
        run = self.rebuilder("verify", f"deb:{SUITE}/{package}", "--json")
        return Verified(run=run, answer=json.loads(run.output))

    def beginnings(self, package: str) -> Beginnings:
        """Verify a package in each way to begin, the first time it is asked for; everything is cached afterwards."""
        if package not in self._beginnings:
            say(f"{package}: cold, warm")
            self.cold()
            cold, warm = self.verify(package), self.verify(package)
            say(f"{package}: on a bare machine")
            is_bare = self.bare()
            bare = self.verify(package)
            self._beginnings[package] = Beginnings(bare=bare, cold=cold, warm=warm, is_bare=is_bare)
        return self._beginnings[package]

    def rebuilder(self, *arguments: str) -> Run:
        """Run the command line; its failure ends the benchmark."""
        run = measure([str(REBUILDER), *arguments], environment=self.environment)
        if run.status not in _ANSWERS:
            raise SystemExit(f"rebuilder {' '.join(arguments)} ended with {run.status}: {run.errors[-500:]}")
        return run

    def engine_client(self) -> str:
        """Name the program that a person runs containers with; raise LeftOut when there is none."""
        for name in ("docker", "podman"):
            if found := shutil.which(name):
                return found
        raise LeftOut("neither `docker` nor `podman` is there to run the plain script with")

    def sources(self) -> str:
        """Return the sources.list that a person would write for the suite, from what this machine is configured with.

        It holds addresses of mirrors, so it is only ever handed to a child on standard input.
        """
        lines = []
        for part in archives_for(SUITE, load_settings().debian):
            lines += [f"{kind} {part.mirrors[0].uri} {part.suite} main" for kind in ("deb", "deb-src")]
        return "\n".join(lines) + "\n"

    def source_files(self, verified: Verified) -> dict[str, Path]:
        """Return the verified source files of a release by name: another builder gets the very same bytes."""
        documents = [Path(path) for path in verified.answer["documents"]]
        plan = json.loads((documents[0] / "plan.json").read_bytes())
        blobs = self.root / "cache" / "blobs" / "sha256"
        digests = {each["filename"]: each["digest"].removeprefix("sha256:") for each in plan["sources"]}
        return {name: blobs / digest[:2] / digest for name, digest in digests.items()}


def say(line: str) -> None:
    """Tell whoever waits."""
    print(f"[bench] {line}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def directory(path: Path) -> Iterator[Path]:
    """Make a directory for one benchmark and remove it."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
