"""`rebuilder verify`: exit codes, JSON, options; with a pipeline that answers what the test wants."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from rebuilder.errors import (
    EngineFailure,
    Interrupted,
    NetworkFailure,
    RebuilderError,
    SignatureRefused,
    StaleInput,
    StorageFailure,
    UnknownTarget,
)
from rebuilder.model.cause import Cause
from rebuilder.model.digest import Digest
from rebuilder.model.dossier import Dossier, Variation
from rebuilder.model.evidence import Evidence, Standing
from rebuilder.model.trust import Trust
from rebuilder.model.verdict import Verdict
from rebuilder.pipeline import TargetResult
from tests.cli.conftest import FakePipeline
from tests.store.conftest import dossier, release

Cli = Callable[..., tuple[int, str, str]]
_REFUSED = Trust(
    accepted=False, reason="no trusted signature", cause=Cause.UNTRUSTED_INPUT, policy=Digest.of(b""), evidence=()
)


def _failed(error: RebuilderError, target: str = "deb:trixie/demo") -> TargetResult:
    return TargetResult(target=target, error=error)


@pytest.mark.parametrize(
    ("verdict", "causes", "code"),
    [
        (Verdict.REPRODUCED, (), 0),
        (Verdict.EQUIVALENT, (Cause.BUILD_ID,), 0),
        (Verdict.DIFFERENT, (Cause.PAYLOAD_CHANGED,), 1),
        (Verdict.UNDECIDED, (Cause.UNTRUSTED_INPUT,), 3),
        (Verdict.UNDECIDED, (Cause.STALE_INPUT,), 3),
        (Verdict.UNDECIDED, (Cause.BUILD_FAILED,), 4),
    ],
)
def test_the_exit_code_is_the_verdict(
    verdict: Verdict, causes: tuple[Cause, ...], code: int, cli: Cli, pipeline: FakePipeline
) -> None:
    """Each verdict has its exit code; a refused input has its own."""
    pipeline.answer("deb:trixie/demo", dossier(verdict, causes=causes))
    found, out, _ = cli("verify", "deb:trixie/demo")
    assert found == code
    assert verdict in out
    assert all(cause in out for cause in causes)


@pytest.mark.parametrize(
    ("verdict", "code"), [(Verdict.REPRODUCED, 3), (Verdict.EQUIVALENT, 3), (Verdict.DIFFERENT, 1)]
)
def test_attack_file_that_the_source_gives_and_nobody_signed_for(
    verdict: Verdict, code: int, cli: Cli, pipeline: FakePipeline
) -> None:
    """A rebuild gives its bytes and a signed index names others: no gate opens, and table and JSON say why."""
    made = dossier(verdict)
    (artifact,) = made.comparison.artifacts
    assert artifact.reference is not None
    refusal = Evidence(
        scheme="local-file",
        subject="renamed.deb",
        subject_digest=artifact.reference.digest,
        outcome=Standing.REFUSED,
        reason="the signed index names other bytes",
    )
    pipeline.answer("deb:trixie/demo", replace(made, release=replace(made.release, evidence=(refusal,))))
    found, out, _ = cli("verify", "deb:trixie/demo")
    assert found == code
    assert (f"! {verdict}, but refused" in out) == (code == 3)
    assert ("do not install it" in out) == (code == 3)
    answer = json.loads(cli("verify", "--json", "deb:trixie/demo")[1])
    assert answer["verdict"] == verdict
    assert [each["subject"] for each in answer.get("disowned", [])] == (["renamed.deb"] if code == 3 else [])


def test_policy_may_refuse_equivalent(cli: Cli, pipeline: FakePipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where only bit for bit counts, `equivalent` is exit code 1."""
    pipeline.answer("deb:trixie/demo", dossier(Verdict.EQUIVALENT, causes=(Cause.BUILD_ID,)))
    monkeypatch.setenv("REBUILDER_POLICY_ACCEPT_EQUIVALENT", "no")
    assert cli("verify", "deb:trixie/demo")[0] == 1


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UnknownTarget("no such package: demo", hint="look again"), 2),
        (SignatureRefused("InRelease of trixie: signed by an unknown key"), 3),
        (StaleInput("InRelease of trixie: expired"), 3),
        (NetworkFailure("the mirror does not answer"), 4),
        (EngineFailure("no container engine answers"), 4),
        (StorageFailure("results: Permission denied"), 4),
    ],
)
def test_no_answer_is_an_error_with_a_hint(error: RebuilderError, code: int, cli: Cli, pipeline: FakePipeline) -> None:
    """The message and the hint are on stderr, stdout stays empty, the exit code says whose fault it is."""
    pipeline.answer("deb:trixie/demo", _failed(error))
    found, out, err = cli("verify", "deb:trixie/demo")
    assert (found, out) == (code, "")
    assert f"error: deb:trixie/demo: {error}" in err
    assert error.hint is None or f"hint: {error.hint}" in err


@pytest.mark.parametrize(
    ("codes", "gravest"),
    [
        ((0, 0), 0),
        ((0, 1), 1),
        ((1, 4), 4),
        ((1, 4, 3, 0), 3),
        ((0, 2), 2),
        ((2, 1), 1),
    ],
)
def test_several_targets_give_the_gravest(
    codes: tuple[int, ...], gravest: int, cli: Cli, pipeline: FakePipeline
) -> None:
    """The first that occurs of 3, 4, 1, 0; every target is answered, whatever the one before was."""
    answers: dict[int, TargetResult | Dossier] = {
        0: dossier(),
        1: dossier(Verdict.DIFFERENT, causes=(Cause.PAYLOAD_CHANGED,)),
        2: _failed(UnknownTarget("no such package")),
        3: dossier(Verdict.UNDECIDED, causes=(Cause.UNTRUSTED_INPUT,)),
        4: _failed(NetworkFailure("gone")),
    }
    targets = [f"deb:trixie/demo{number}" for number in range(len(codes))]
    for target, code in zip(targets, codes, strict=True):
        pipeline.answer(target, answers[code])
    assert cli("verify", *targets)[0] == gravest
    assert [request.question.target for request in pipeline.requests] == targets


_KEYS = {
    "target",
    "verdict",
    "causes",
    "artifacts",
    "environment",
    "evidence",
    "documents",
    "trust",
    "reason",
    "variations",
}


def test_json_is_one_object_a_target(cli: Cli, pipeline: FakePipeline) -> None:
    """Programs read verdict, artifacts with digests, and where the documents are; nothing else is on stdout."""
    pipeline.answer("deb:trixie/demo", dossier(Verdict.EQUIVALENT, causes=(Cause.BUILD_ID,)))
    pipeline.answer("deb:trixie/gone", _failed(NetworkFailure("no answer", hint="wait"), "deb:trixie/gone"))
    code, out, err = cli("verify", "--json", "deb:trixie/demo", "deb:trixie/gone")
    assert code == 4
    first, second = map(json.loads, out.splitlines())
    assert set(first) == _KEYS
    assert first["target"] == "pkg:deb/debian/demo@1.0-1?arch=source&distro=trixie"
    assert (first["verdict"], first["causes"]) == ("equivalent", ["build-id"])
    assert first["documents"] == ["results/deb/demo/1.0-1/amd64/run"]
    (artifact,) = first["artifacts"]
    assert artifact == {
        "filename": "demo_1.0-1_amd64.deb",
        "verdict": "equivalent",
        "causes": ["build-id"],
        "inferred_causes": [],
        "stabilizers": ["elf-build-id/1"],
        "reference": {"sha256": Digest.of(b"published").hex, "size": 9},
        "rebuilt": {"sha256": Digest.of(b"rebuilt").hex, "size": 7},
        "control": "not-needed",
    }
    assert set(second) == _KEYS | {"error", "hint"}
    assert (second["verdict"], second["error"], second["hint"]) == (None, "no answer", "wait")
    assert "no answer" in err
    assert "hint: wait" in err


def test_whoever_asks_for_variations_is_told(cli: Cli, pipeline: FakePipeline) -> None:
    """What each factor changes, or that its run gave no answer, is in the table and in JSON."""
    runs = (
        Variation(factor="path", changed=("demo_1.0-1_amd64.deb",), findings=("it depends on the path",)),
        Variation(factor="locale", changed=(), findings=()),
        Variation(factor="clock", changed=(), findings=(), failed="the run failed: dpkg-source ended with 22"),
    )
    pipeline.answer("deb:trixie/demo", replace(dossier(), variations=runs))
    out = cli("verify", "deb:trixie/demo", "--vary", "path,locale,clock")[1]
    assert re.search(r"variation +path: changes demo_1\.0-1_amd64\.deb\n", out)
    assert "locale: changes nothing\n" in out
    assert "clock: no answer: the run failed: dpkg-source ended with 22\n" in out
    told = json.loads(cli("verify", "--json", "deb:trixie/demo", "--vary", "path,locale,clock")[1])["variations"]
    assert [(each["factor"], each["changed"], each["failed"]) for each in told] == [
        ("path", ["demo_1.0-1_amd64.deb"], None),
        ("locale", [], None),
        ("clock", [], "the run failed: dpkg-source ended with 22"),
    ]
    assert {each["architecture"] for each in told} == {"amd64"}


def test_a_stabilizer_is_no_cause(cli: Cli, pipeline: FakePipeline) -> None:
    """The table names what was applied apart from why the bytes differ."""
    pipeline.answer("deb:trixie/demo", dossier(Verdict.EQUIVALENT, causes=(Cause.BUILD_ID,)))
    assert "build-id (under elf-build-id/1)\n" in cli("verify", "deb:trixie/demo")[1]


def test_a_part_without_answer_spoils_the_whole(cli: Cli, pipeline: FakePipeline) -> None:
    """One architecture reproduced and the other not published: not reproduced, and not exit code 0."""
    half = replace(_failed(StorageFailure("disk full")), dossiers=(dossier(),))
    pipeline.answer("deb:trixie/demo", half)
    code, out, _ = cli("verify", "--json", "deb:trixie/demo")
    assert (code, json.loads(out)["verdict"]) == (4, "undecided")


def test_a_dry_run_says_what_would_be_rebuilt(cli: Cli, pipeline: FakePipeline) -> None:
    """Authenticated: exit code 0 and no verdict; refused: exit code 3 and the reason."""
    accepted = TargetResult(target="deb:trixie/demo", release=release(), trust=dossier().trust)
    pipeline.answer("deb:trixie/demo", accepted)
    code, out, _ = cli("verify", "--dry-run", "deb:trixie/demo")
    assert (code, "authenticated" in out) == (0, True)
    assert pipeline.requests[-1].dry_run
    pipeline.answer("deb:trixie/demo", replace(accepted, trust=_REFUSED))
    code, out, _ = cli("verify", "--dry-run", "deb:trixie/demo")
    assert code == 3
    assert "no trusted signature" in out


def test_options_reach_the_request(cli: Cli, pipeline: FakePipeline, tmp_path: Path) -> None:
    """Each option is one field of what the pipeline is asked."""
    buildinfo = tmp_path / "demo.buildinfo"
    buildinfo.write_text("")
    cli("verify", "deb:trixie/demo", "--provenance", buildinfo, "--vary", "clock, path", "--no-control", "--fresh")
    (request,) = pipeline.requests
    assert request.question.provenance == buildinfo
    assert request.vary == ("clock", "path")
    assert (request.control, request.fresh, request.dry_run) == (False, True, False)


def test_a_local_artifact_is_a_target(cli: Cli, pipeline: FakePipeline, tmp_path: Path) -> None:
    """A path ending in .deb stands in for the published file; --suite says where to look for its source."""
    deb = tmp_path / "demo_1.0-1_amd64.deb"
    deb.write_bytes(b"")
    assert cli("verify", deb, "--suite", "trixie")[0] == 0
    (request,) = pipeline.requests
    assert request.question.artifact == deb


def test_a_suite_completes_a_target(cli: Cli, pipeline: FakePipeline) -> None:
    """`--suite trixie demo` is `deb:trixie/demo`; two suites contradict each other."""
    assert cli("verify", "--suite", "trixie", "demo")[0] == 0
    assert pipeline.requests[-1].question.target == "deb:trixie/demo"
    code, _, err = cli("verify", "--suite", "sid", "deb:trixie/demo")
    assert code == 2
    assert "names its suite itself" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["verify"], "Missing argument"),
        (["verify", "./absent.deb"], "no such file"),
        (["verify", "--vary", "moon", "deb:trixie/demo"], "expected factors among clock, path, locale"),
        (["verify", "--vary", "", "deb:trixie/demo"], "expected factors among"),
        (["verify", "--dry-run", "--vary", "clock", "deb:trixie/demo"], "--vary builds once more"),
        (["verify", "--jobs", "0", "deb:trixie/demo"], "0 is not in the range"),
        (["verify", "--config", "absent.toml", "deb:trixie/demo"], "No such file"),
        (["verify", "--provenance", "absent.buildinfo", "deb:trixie/demo"], "no such file"),
        (["verify", "--frobnicate", "deb:trixie/demo"], "No such option"),
    ],
)
def test_a_wrong_request_is_usage(arguments: list[str], message: str, cli: Cli, pipeline: FakePipeline) -> None:
    """Exit code 2 before anything is asked of the world."""
    code, out, err = cli(*arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert "hint: " in err
    assert pipeline.requests == []


def test_json_tells_a_wrong_setting_as_well(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that asked for JSON gets the error as JSON, and a person gets it on stderr."""
    monkeypatch.setenv("REBUILDER_JOSB", "1")
    code, out, err = cli("verify", "--json", "deb:trixie/demo")
    assert code == 2
    assert "did you mean REBUILDER_JOBS" in json.loads(out)["error"]
    assert "did you mean REBUILDER_JOBS" in err


def test_interruption_stops_the_rest(cli: Cli, pipeline: FakePipeline) -> None:
    """Ctrl-C ends the run with 130, whichever way it arrives, and the next target is not begun."""
    for interruption in (KeyboardInterrupt(), Interrupted("stopped")):
        pipeline.requests.clear()
        pipeline.answer("deb:trixie/demo", interruption)
        code, out, err = cli("verify", "deb:trixie/demo", "deb:trixie/next")
        assert (code, out) == (130, "")
        assert "error: " in err
        assert len(pipeline.requests) == 1


def test_results_that_cannot_be_written_are_found_first(cli: Cli, pipeline: FakePipeline, tmp_path: Path) -> None:
    """Before anything is downloaded or built; a dry run needs none."""
    (tmp_path / "taken").write_text("in the way")
    code, out, err = cli("verify", "--results", "taken/results", "deb:trixie/demo")
    assert (code, out) == (4, "")
    assert "error: " in err
    assert "hint: " in err
    assert pipeline.requests == []
    assert cli("verify", "--dry-run", "--results", "taken/results", "deb:trixie/demo")[0] == 0


def test_progress_is_on_stderr_and_can_be_silent(cli: Cli, pipeline: FakePipeline) -> None:
    """Stdout is data alone."""
    _, out, err = cli("verify", "deb:trixie/demo")
    assert "resolve: the fake archive" in err
    assert "the fake archive" not in out
    assert cli("verify", "--quiet", "deb:trixie/demo")[2] == ""


def test_hostile_names_cannot_drive_the_terminal(cli: Cli, pipeline: FakePipeline) -> None:
    """Control characters from elsewhere are shown, not obeyed."""
    pipeline.answer("deb:trixie/demo", _failed(NetworkFailure("\x1b]0;owned\x07\x1b[2J")))
    _, out, err = cli("verify", "deb:trixie/demo")
    assert "\x1b" not in out + err
    assert "\\x1b]0;owned" in err


def _fifo(path: Path) -> str:
    os.mkfifo(path)
    return str(path)


def test_what_is_no_regular_file_is_no_artifact(cli: Cli, pipeline: FakePipeline, tmp_path: Path) -> None:
    """A directory, a FIFO and a device are there, and are said to be something else; nothing waits for them."""
    directory = tmp_path / "a.deb"
    directory.mkdir()
    for name in (str(directory), _fifo(tmp_path / "b.deb"), "/dev/zero"):
        for arguments in (["verify", name], ["explain", name, name], ["verify", "deb:trixie/a", "--provenance", name]):
            code, out, err = cli(*arguments)
            assert (code, out, f"{name}: not a regular file" in err) == (2, "", True), arguments
    assert pipeline.requests == []


def test_a_name_beyond_every_bound_is_told_in_brief(cli: Cli, pipeline: FakePipeline) -> None:
    """A target or path of 100,000 characters with newlines: no defect, and no more than a few lines."""
    long = "x\nerror: forged " * 6000
    pipeline.answer(f"deb:trixie/{long}", _failed(UnknownTarget(f"no such package: {long}"), f"deb:trixie/{long}"))
    for arguments, expected in (
        (["verify", f"deb:trixie/{long}"], 2),
        (["verify", f"./{long}.deb"], 2),
        (["explain", f"./{long}.deb", f"./{long}.deb"], 2),
        (["check", f"./{long}"], 2),
        (["replay", f"./{long}"], 2),
        (["sign", f"./{long}"], 2),
        (["keys", "pin", "somebody", f"./{long}"], 2),
        (["report", long], 2),
    ):
        code, out, err = cli(*arguments)
        assert (code, out, "internal error" in err) == (expected, "", False), arguments[0]
        assert len(err) < 6000
        assert not any(line.startswith("error: forged") for line in err.splitlines())
