"""A command line whose pipeline answers what the test wants, in directories of its own."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rebuilder.cli.guard import run
from rebuilder.model.dossier import Dossier
from tests.store.conftest import dossier

if TYPE_CHECKING:
    from rebuilder.pipeline import Request, TargetResult, World


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep each test away from the person's own files, and leave the signal handlers as they were."""
    monkeypatch.chdir(tmp_path)
    for name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


class FakePipeline:
    """Stands in for `rebuilder.pipeline.verify`: remembers the requests, answers what was prepared."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.answers: dict[str, Any] = {}

    def answer(self, target: str, given: TargetResult | BaseException | Dossier) -> None:
        """Prepare the answer to one target."""
        from rebuilder.pipeline import TargetResult  # noqa: PLC0415 - only the tests of `verify` load it

        if isinstance(given, Dossier):
            given = TargetResult(
                target=given.release.target,
                release=given.release,
                trust=given.trust,
                dossiers=(given,),
                documents=(Path("results/deb/demo/1.0-1/amd64/run"),),
            )
        self.answers[target] = given

    def verify(self, request: Request, world: World) -> TargetResult:
        """See rebuilder.pipeline.verify."""
        from rebuilder.pipeline import TargetResult  # noqa: PLC0415 - only the tests of `verify` load it

        self.requests.append(request)
        world.progress.phase(request.question.name, "resolve", "the fake archive")
        given = self.answers.get(request.question.name)
        if isinstance(given, BaseException):
            raise given
        return given or TargetResult(target=request.question.name, dossiers=(dossier(),))


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch) -> FakePipeline:
    """Answer every `verify` of the test."""
    import rebuilder.pipeline  # noqa: PLC0415 - as above

    fake = FakePipeline()
    monkeypatch.setattr(rebuilder.pipeline, "verify", fake.verify)
    return fake


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run a command line in this process and return (exit code, stdout, stderr)."""

    def call(*arguments: str | Path) -> tuple[int, str, str]:
        code = run([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        assert "Traceback" not in out + err
        return code, out, err

    return call
