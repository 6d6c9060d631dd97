"""A person at a terminal with a frozen archive and a state directory of the test's own."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rebuilder.cli.guard import run
from tests.archive.frozen import MAIN, SECURITY, FrozenArchive

Person = Callable[..., tuple[int, str, str]]


@pytest.fixture
def config(tmp_path: Path, standard_archive: FrozenArchive) -> Path:
    """Write settings that know the frozen archive alone."""
    return write_config(tmp_path, standard_archive)


def write_config(home: Path, archive: FrozenArchive, more: str = "") -> Path:
    """Write settings that know an archive alone."""
    lines = [f'{name} = "{home / name}"' for name in ("cache", "state", "results")]
    lines += [more, "[debian]", f'archive_keyring = "{archive.keyring}"']
    for label, suites in ((MAIN, "*"), (SECURITY, "*-security")):
        uri = (archive.root / label).as_uri()
        lines += ["[[debian.archives]]", f'label = "{label}"', f'uri = "{uri}"', f'suites = ["{suites}"]']
    path = home / "rebuilder.toml"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Iterator[Person]:
    """Run a command line in this process and return (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]

    def call(*arguments: str | Path) -> tuple[int, str, str]:
        code = run([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        assert "Traceback" not in out + err
        return code, out, err

    yield call
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


@pytest.fixture
def ask(person: Person, config: Path) -> Callable[..., Any]:
    """Run a verb with `--json`, and return what it says; it must succeed."""

    def call(*arguments: str | Path) -> Any:
        code, out, err = person(*arguments, "--json", "--config", config)
        assert code == 0, err
        return json.loads(out)

    return call
