"""The sandboxed child answers, refuses and dies without taking anybody along."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from rebuilder.compare import sandbox
from rebuilder.compare.child import answer
from rebuilder.compare.files import compare_file
from rebuilder.compare.readers.limits import ReadLimits
from rebuilder.compare.rule import DEB
from rebuilder.compare.sandbox import Bounds, compare_in_child, read_deb_member_in_child, run_in_child
from rebuilder.compare.tasks import DebMemberRequest, FileContent, TaskName
from rebuilder.errors import HostileInput, StorageFailure
from rebuilder.model import codec
from rebuilder.model.cause import Cause
from rebuilder.model.comparison import ArtifactComparison, Finding, Stabilizer
from rebuilder.model.verdict import Verdict
from rebuilder.world.process import Cage, run
from tests.compare.makers import ELF, compress, flipped, make_ar, make_tar, sample, with_other_build_id


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """Make two packages of which one has another build-id."""
    other = sample().with_file("./usr/bin/sample", with_other_build_id(ELF.read_bytes()))
    return sample().write(tmp_path / "a.deb"), other.write(tmp_path / "b.deb")


def test_the_child_answers_as_the_function_does(pair: tuple[Path, Path]) -> None:
    """Inside and outside the cage the same comparison comes out."""
    inside = compare_in_child(*pair, filename="a.deb", rule=DEB)
    assert inside == compare_file(*pair, filename="a.deb", rule=DEB)
    assert inside.verdict is Verdict.EQUIVALENT


def test_equal_files_start_no_child(pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal digests end it before anything is opened."""
    monkeypatch.setattr(sandbox, "run_in_child", None)
    assert compare_in_child(pair[0], pair[0], filename="a.deb", rule=DEB).verdict is Verdict.REPRODUCED


def test_one_file_of_a_deb(pair: tuple[Path, Path]) -> None:
    """A changelog comes out of the child; a missing one is refused with the reader's own words."""
    assert read_deb_member_in_child(pair[0], "/changelog.Debian.gz")[1].startswith(b"sample")
    with pytest.raises(HostileInput, match="0 files end with '/none'"):
        read_deb_member_in_child(pair[0], "/none")


def test_a_missing_file_is_no_answer(tmp_path: Path) -> None:
    """What cannot be read is no difference."""
    request = DebMemberRequest(path=str(tmp_path / "none.deb"), suffix="x")
    with pytest.raises(StorageFailure, match="No such file"):
        run_in_child(TaskName.DEB_MEMBER, request, FileContent)


def test_a_child_that_takes_too_long(pair: tuple[Path, Path]) -> None:
    """It is killed, and the artifact is different: payload until shown otherwise, with the reason."""
    started = time.monotonic()
    found = compare_in_child(*pair, filename="a.deb", rule=DEB, bounds=Bounds(timeout_s=0.05))
    assert time.monotonic() - started < 5
    assert (found.verdict, found.causes) == (
        Verdict.DIFFERENT,
        (Cause.PAYLOAD_CHANGED, Cause.RESOURCE_EXHAUSTED),
    )
    assert "did not end within" in found.findings[1].detail


def test_a_child_that_wants_too_much_memory(tmp_path: Path) -> None:
    """A text of many lines in a cage that is too small for it: the same verdict, nobody else hurt."""
    paths = []
    lines = b"".join(b"%d\n" % number for number in range(500_000))
    for name, last in (("a", b"1"), ("b", b"2")):
        tar = make_tar(())
        paths.append(tmp_path / name)
        paths[-1].write_bytes(make_ar((("debian-binary", last + lines.replace(b"1", last)), ("data.tar", tar))))
    cage = Cage(memory_bytes=100 * 1024**2, cpu_s=60, file_bytes=1024**3)
    found = compare_in_child(*paths, filename="a.deb", rule=DEB, bounds=Bounds(cage=cage))
    assert found.verdict is Verdict.DIFFERENT
    assert found.causes == (Cause.PAYLOAD_CHANGED, Cause.RESOURCE_EXHAUSTED)


def test_a_bomb_leaves_nothing_behind(tmp_path: Path) -> None:
    """A bomb is stopped by the budget, and the scratch directory is empty afterwards."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    tar = compress(make_tar(sample().data), "xz")
    paths = []
    for name, bomb in (("a", bytes(32 * 1024**2)), ("b", bytes(33 * 1024**2))):
        paths.append(tmp_path / name)
        members = (("debian-binary", b"2.0\n"), ("control.tar.xz", tar), ("data.tar.xz", compress(bomb, "xz")))
        paths[-1].write_bytes(make_ar(members))
    bounds = Bounds(scratch=scratch, limits=ReadLimits(total_bytes=16 * 1024**2))
    found = compare_in_child(*paths, filename="a.deb", rule=DEB, bounds=bounds)
    assert "unpacks to more than" in found.findings[0].detail
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize(
    "request_",
    [b"", b"{}", b"[]", b"\xff", b'{"task":"compare","request":{}}', b'{"task":"rm","request":{}}', b"null"],
)
def test_malformed_requests_are_refused(request_: bytes) -> None:
    """Whatever is asked, the child answers with an error of ours."""
    kind, _, document = answer(request_, lambda _: None).partition(b"\n")
    assert kind == b"error"
    assert json.loads(document)["kind"] == "HostileInput"


REMAINS = Finding(path="p", cause=Cause.PAYLOAD_CHANGED, detail="d")
REMOVED = replace(REMAINS, removed_by=Stabilizer(name="anything", version=1))


@pytest.mark.parametrize(
    ("lie", "message"),
    [
        (b'{"verdict":"reproduced"}', "not a valid ArtifactComparison"),
        ((Verdict.REPRODUCED, (), ()), "says reproduced"),
        ((Verdict.EQUIVALENT, (), ()), "equivalent with 0 findings"),
        ((Verdict.EQUIVALENT, (REMAINS,), ()), "although a difference remains"),
        ((Verdict.EQUIVALENT, (REMOVED,), (Stabilizer(name="anything", version=1),)), "the rule does not have"),
    ],
)
def test_a_child_that_lies_is_refused(
    pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, lie: object, message: str
) -> None:
    """An answer that is none, or that contradicts itself or the rule, is not believed."""
    if isinstance(lie, tuple):
        verdict, findings, stabilizers = lie
        lie = codec.render(
            ArtifactComparison(
                filename="x",
                verdict=verdict,
                causes=(),
                reference=None,
                rebuilt=None,
                findings=findings,
                stabilizers=stabilizers,
            )
        )
    (tmp_path / "answer").write_bytes(b"answer\n" + bytes(lie))  # type: ignore[call-overload]
    liar = tmp_path / "liar"
    liar.write_text(f"#!/bin/sh\ncat {tmp_path}/answer\n")
    liar.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(liar))
    found = compare_in_child(*pair, filename="a.deb", rule=DEB)
    assert found.verdict is Verdict.DIFFERENT
    assert message in found.findings[1].detail


def test_a_flipped_byte_through_the_child(tmp_path: Path) -> None:
    """A corrupted package goes all the way: different, payload, named."""
    data = sample().build()
    first, second = sample().write(tmp_path / "a"), tmp_path / "b"
    second.write_bytes(flipped(data, len(data) - 200))
    found = compare_in_child(first, second, filename="a.deb", rule=DEB)
    assert (found.verdict, found.causes) == (Verdict.DIFFERENT, (Cause.PAYLOAD_CHANGED,))
    assert found.findings[0].path == "data.tar.xz"


_CONFINED = """
import sys, tempfile
from pathlib import Path
from rebuilder.compare.confine import confine
mine, other = (Path(name) for name in sys.argv[1:3])
print(confine((mine,)))
tempfile.TemporaryFile().write(b"x")
print(mine.read_text())
for act in (other.read_text, lambda: mine.write_text("evil"), lambda: (other.parent / "new").touch()):
    try:
        act()
        print("allowed")
    except PermissionError:
        print("refused")
"""


def test_a_confined_process_reads_its_files_and_no_other(tmp_path: Path) -> None:
    """Where the kernel has Landlock, it reads no key, and creates and changes nothing but its scratch file."""
    mine, other, scratch = tmp_path / "mine", tmp_path / "key", tmp_path / "scratch"
    mine.write_text("mine")
    other.write_text("secret")
    scratch.mkdir()
    finished = run([sys.executable, "-c", _CONFINED, mine, other], timeout_s=20, environment={"TMPDIR": str(scratch)})
    confined, content, *acts = finished.output.decode().split()
    assert content == "mine"
    assert acts == ["refused"] * 3 or confined == "False"
