"""`rebuilder explain`: two files, the verdict, the findings, and what stabilizers remove."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

Cli = Callable[..., tuple[int, str, str]]


def _tar(files: Mapping[str, bytes], mtime: int) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mtime = len(data), mtime
            archive.addfile(member, io.BytesIO(data))
    return stream.getvalue()


def _deb(path: Path, files: Mapping[str, bytes], *, mtime: int = 0) -> Path:
    control = b"Package: demo\nVersion: 1\nArchitecture: all\nMaintainer: nobody\nDescription: demo\n"
    members = {
        "debian-binary": b"2.0\n",
        "control.tar.gz": _tar({"./control": control}, mtime),
        "data.tar.gz": _tar(files, mtime),
    }
    blob = b"!<arch>\n"
    for name, data in members.items():
        blob += f"{name:<16}{mtime:<12}0     0     100644  {len(data):<10}`\n".encode() + data + b"\n" * (len(data) % 2)
    path.write_bytes(blob)
    return path


def test_equal_files_are_reproduced(cli: Cli, tmp_path: Path) -> None:
    """Exit code 0, and nothing else to say."""
    first = _deb(tmp_path / "a.deb", {"./usr/bin/demo": b"code"})
    second = _deb(tmp_path / "b.deb", {"./usr/bin/demo": b"code"})
    assert cli("explain", first, second)[:2] == (0, "reproduced\n")


def test_a_changed_payload_is_different_and_named(cli: Cli, tmp_path: Path) -> None:
    """Exit code 1; the path of the member and both sides are shown, and given to programs."""
    first = _deb(tmp_path / "a.deb", {"./usr/bin/demo": b"\x00code one"})
    second = _deb(tmp_path / "b.deb", {"./usr/bin/demo": b"\x00code two"})
    code, out, _ = cli("explain", first, second)
    assert code == 1
    assert out.startswith("different  payload-changed")
    assert "usr/bin/demo" in out
    code, out, _ = cli("explain", first, second, "--json")
    answer = json.loads(out)
    assert (code, answer["verdict"], answer["causes"]) == (1, "different", ["payload-changed"])
    assert answer["findings"]
    assert answer["reference"]["sha256"] != answer["rebuilt"]["sha256"]


def test_what_stabilizers_remove_is_counted_and_shown_on_demand(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Times alone are `equivalent`; --all shows each; policy decides the exit code."""
    first = _deb(tmp_path / "a.deb", {"./usr/share/demo": b"text"}, mtime=1)
    second = _deb(tmp_path / "b.deb", {"./usr/share/demo": b"text"}, mtime=2)
    code, out, _ = cli("explain", first, second)
    assert (code, out.splitlines()[0]) == (0, "equivalent  timestamps")
    assert "differences that stabilizers remove: " in out
    assert "usr/share/demo" not in out
    assert "usr/share/demo" in cli("explain", first, second, "--all")[1]
    monkeypatch.setenv("REBUILDER_POLICY_ACCEPT_EQUIVALENT", "no")
    assert cli("explain", first, second)[0] == 1


def test_other_files_are_compared_by_bytes(cli: Cli, tmp_path: Path) -> None:
    """No stabilizer applies to what is no package."""
    first, second = tmp_path / "a.txt", tmp_path / "b.txt"
    first.write_text("one\n")
    second.write_text("two\n")
    code, out, _ = cli("explain", first, second)
    assert (code, out.splitlines()[0].split()[0]) == (1, "different")


def test_a_file_that_is_not_there_is_usage(cli: Cli, tmp_path: Path) -> None:
    """Named, with exit code 2."""
    code, _, err = cli("explain", "absent", tmp_path)
    assert (code, "no such file" in err) == (2, True)


@pytest.mark.parametrize("place", ["a.deb", "b.deb", "link.deb", "absent/report.html"])
def test_a_report_overwrites_no_input(place: str, cli: Cli, tmp_path: Path) -> None:
    """An input named as output, under any name, and a directory that is not there are usage; nothing is written."""
    first = _deb(tmp_path / "a.deb", {"./usr/bin/demo": b"one"})
    second = _deb(tmp_path / "b.deb", {"./usr/bin/demo": b"two"})
    (tmp_path / "link.deb").symlink_to(first)
    before = first.read_bytes(), second.read_bytes()
    code, out, err = cli("explain", first, second, "--html", tmp_path / place)
    assert (code, out) == (2, "")
    assert "would be overwritten" in err or "its directory is not there" in err
    assert "hint: " in err
    assert (first.read_bytes(), second.read_bytes()) == before
    assert not (tmp_path / "absent").exists()
