"""A person at a machine: a configuration file, directories of their own, the command line."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rebuilder.config import Settings, load_settings
from rebuilder.model import codec
from rebuilder.model.cause import Cause
from rebuilder.model.dossier import Dossier


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a command answered."""

    code: int
    out: str
    err: str

    @property
    def answers(self) -> list[dict[str, Any]]:
        """The JSON objects on stdout, one a line."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def answer(self) -> dict[str, Any]:
        """The one answer."""
        (answer,) = self.answers
        return answer

    @property
    def result(self) -> Path:
        """The one result directory."""
        (directory,) = self.answer["documents"]
        return Path(directory)

    @property
    def artifacts(self) -> Mapping[str, dict[str, Any]]:
        """Each artifact's part of the answer, by file name."""
        return {each["filename"]: each for answer in self.answers for each in answer["artifacts"]}

    def concludes(self, verdict: str, code: int, *causes: Cause) -> None:
        """Assert the verdict, the exit code and exactly these causes."""
        answer = self.answer
        found = answer["verdict"], answer["causes"], self.code
        assert found == (verdict, [str(cause) for cause in causes], code), (answer["reason"], self.err)


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody with a directory `home`, which holds `rebuilder.toml`."""

    home: Path

    @property
    def config(self) -> Path:
        """The configuration file."""
        return self.home / "rebuilder.toml"

    @property
    def settings(self) -> Settings:
        """What it says."""
        return load_settings(self.config, environment={})

    @property
    def results(self) -> Path:
        """Where results are published."""
        return self.home / "results"

    def run(self, *words: str | Path, config: bool = True) -> Said:
        """Run a command line in this process."""
        from rebuilder.cli.guard import run  # noqa: PLC0415 - so that collecting tests stays quick

        streams = [io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2)]
        handlers = [(number, signal.getsignal(number)) for number in (signal.SIGTERM, signal.SIGHUP)]
        try:
            with redirect_stdout(streams[0]), redirect_stderr(streams[1]):
                code = run([*map(str, words), *(["--config", str(self.config)] if config else [])])
        finally:
            for number, handler in handlers:
                signal.signal(number, handler)
        out, err = (stream.buffer.getvalue().decode() for stream in streams)
        assert "Traceback" not in out + err
        return Said(code=code, out=out, err=err)

    def verify(self, *words: str | Path) -> Said:
        """Run `rebuilder verify --json`."""
        return self.run("verify", "--json", "--quiet", *words)

    @contextmanager
    def start(
        self, *words: str | Path, environment: Mapping[str, str] | None = None
    ) -> Iterator[subprocess.Popen[str]]:
        """Start a command line as a process of its own, which ends with the context."""
        process = subprocess.Popen(
            [Path(sys.executable).parent / "rebuilder", *map(str, words), "--config", str(self.config)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **(environment or {})},
            cwd=self.home,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
                process.communicate()

    def dossier(self, result: Path) -> Dossier:
        """Read the dossier of a result."""
        return codec.parse((result / "dossier.json").read_bytes(), Dossier)

    def key(self, role: str = "attestation") -> Path:
        """Export a public key, as a reader would be given it."""
        path = self.home / f"{role}.pem"
        assert self.run("keys", "export", role, "--out", path).code == 0
        return path

    def check(self, result: Path) -> Said:
        """Run `rebuilder check --json` with this person's own key."""
        return self.run("check", "--json", result, "--key", self.key())


def configuration(settings: Settings, more: str = "") -> str:
    """Write settings as TOML: places, archives and keyrings; `more` goes in front of the tables."""
    lines = [
        f"cache = {_text(settings.cache)}",
        f"state = {_text(settings.state)}",
        f"results = {_text(settings.results)}",
        "jobs = 1",
        more,
        "[debian]",
        f"archive_keyring = {_text(settings.debian.archive_keyring)}",
        f"developer_keyrings = [{', '.join(map(_text, settings.debian.developer_keyrings))}]",
        *([f"snapshot = {_text(settings.debian.snapshot)}"] if settings.debian.snapshot else []),
    ]
    for archive in settings.debian.archives:
        lines += [
            "[[debian.archives]]",
            f"label = {_text(archive.label)}",
            f"uri = {_text(archive.uri)}",
            f"suites = [{', '.join(map(_text, archive.suites))}]",
            f"keyrings = [{', '.join(map(_text, archive.keyrings))}]",
        ]
    return "\n".join(lines) + "\n"


def _text(value: object) -> str:
    return json.dumps(str(value))
