"""diffoscope, for people: a report on what differs, made by a bounded process, and never the verdict.

diffoscope believes a .deb's own md5sums and can be fooled, so its answer is only shown. It runs after a mismatch only,
in a cage without network, on copies in a directory of our own that is removed whatever happens. Its `--timeout` is no
bound and its limit on text does not hold, so it is killed from outside, its disk use is watched, and outputs are cut
here. What a report lacks is said in its notes; a report that cannot be made is a note as well, never an error.
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rebuilder.compare.readers.archive import shown
from rebuilder.errors import HostileInput, ResourceExhausted, ToolFailure
from rebuilder.model import codec
from rebuilder.model.digest import Digest
from rebuilder.world.files import storage_errors
from rebuilder.world.process import Cage, Finished, find, run
from rebuilder.world.scratch import prefix as scratch_prefix

_MIB = 1024**2
_NOTES = 12

WATCHED = """
limit=$1; shift
(while sleep 1; do
    used=$(du -sk . 2>/dev/null | cut -f1)
    [ "${used:-0}" -le "$limit" ] || kill -KILL 0
done) &
exec "$@"
"""
"""Ends the whole process group when the working directory grows beyond the limit (KiB), then becomes the program.

A constant: nothing is ever put into this text.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportBounds:
    """What diffoscope may use, and how long its outputs may be."""

    timeout_s: float = 600
    memory_bytes: int = 2048 * _MIB
    """Of each process."""
    disk_bytes: int = 6144 * _MIB
    html_bytes: int = 16 * _MIB
    text_bytes: int = 8 * _MIB
    json_bytes: int = 16 * _MIB
    scratch: Path | None = None
    """Where its working directory is made; None for the system's temporary directory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One output."""

    kind: str
    """`diffoscope-html`, `diffoscope-text`, `diffoscope-json`."""
    data: bytes

    @property
    def digest(self) -> Digest:
        """Name of the blob."""
        return Digest.of(self.data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reports:
    """What came out, and what is lacking."""

    reports: tuple[Report, ...]
    notes: tuple[str, ...]
    ended: bool = False
    """Whether diffoscope came to its own end and saw a difference: only then its JSON is the whole of it."""


def report_on(reference: Path, rebuilt: Path, *, filename: str, bounds: ReportBounds | None = None) -> Reports:
    """Let diffoscope explain two files that are known to differ; in the report both are called `filename`.

    Raise HostileInput for a name with directories, StorageFailure when the files cannot be copied; whatever goes wrong
    with diffoscope itself is a note.
    """
    bounds = bounds or ReportBounds()
    if Path(filename).name != filename or not filename.isprintable():
        raise HostileInput(f"not a plain file name: {shown(filename, 80)}")
    command = _program()
    if command is None:
        return Reports(reports=(), notes=("diffoscope is not installed: there is no report",))
    with _directory(bounds.scratch) as directory:
        _copy(reference, directory / "reference" / filename)
        _copy(rebuilt, directory / "rebuilt" / filename)
        try:
            finished = _run(command, directory, filename, bounds)
        except (ResourceExhausted, ToolFailure) as error:
            return Reports(reports=(), notes=(f"diffoscope gave no report: {shown(str(error))}",))
        reports, notes = _collect(directory, bounds)
        about = tuple(note.replace(f"{directory}/", "") for note in _about(finished, is_empty=not reports))
    notes = (*about, *_lacking(reports), *notes)[:_NOTES]
    return Reports(reports=reports, notes=notes, ended=finished.status == 1)


def missing_tools() -> tuple[str, ...]:
    """Name the external programs that diffoscope knows and that are not installed here; empty when it cannot say."""
    command = _program()
    if command is None:
        return ()
    try:
        output = run([command, "--list-missing-tools"], timeout_s=60).output.decode("utf-8", "replace")
    except (ResourceExhausted, ToolFailure):
        return ()
    found = re.search(r"^External-Tools-Required: (.*)$", output, re.MULTILINE)
    return tuple(found[1].split(", ")) if found else ()


def _program() -> Path | None:
    """Where diffoscope is: beside the interpreter, for it is one of our dependencies, or installed on the machine."""
    beside = Path(sys.executable).with_name("diffoscope")
    return beside if beside.is_file() else find("diffoscope")


def _run(command: Path, directory: Path, filename: str, bounds: ReportBounds) -> Finished:
    arguments = [
        "--no-progress",
        f"--timeout={max(int(bounds.timeout_s * 0.7), 1)}",
        "--exclude-directory-metadata=yes",
        "--max-container-depth=8",
        f"--max-report-size={bounds.html_bytes}",
        f"--max-page-size={bounds.html_bytes}",
        f"--max-text-report-size={bounds.text_bytes}",
        "--html=out/report.html",
        "--text=out/report.txt",
        "--json=out/report.json",
        f"reference/{filename}",
        f"rebuilt/{filename}",
    ]
    return run(
        ["sh", "-c", WATCHED, "sh", str(bounds.disk_bytes // 1024), str(command), *arguments],
        timeout_s=bounds.timeout_s,
        cwd=directory,
        environment={"TMPDIR": str(directory / "tmp"), "HOME": str(directory / "tmp"), "TZ": "UTC"},
        cage=Cage(memory_bytes=bounds.memory_bytes, cpu_s=int(bounds.timeout_s) + 1, file_bytes=bounds.disk_bytes),
        output_limit_bytes=_MIB,
    )


def _collect(directory: Path, bounds: ReportBounds) -> tuple[tuple[Report, ...], tuple[str, ...]]:
    reports: list[Report] = []
    notes: list[str] = []
    for kind, name, limit in (
        ("html", "report.html", bounds.html_bytes),
        ("text", "report.txt", bounds.text_bytes),
        ("json", "report.json", bounds.json_bytes),
    ):
        data = _read(directory / "out" / name, limit)
        if data is None:
            notes.append(f"diffoscope wrote no {kind} report")
            continue
        if len(data) > limit and kind != "text":
            notes.append(f"the {kind} report is longer than {limit} bytes and was left out")
            continue
        if len(data) > limit:
            notes.append(f"the text report is longer than {limit} bytes and was cut")
            data = data[:limit].rpartition(b"\n")[0] + b"\n[cut here: the report is longer]\n"
        if kind == "json" and not _is_json(data):
            notes.append("the json report is malformed and was left out")
            continue
        reports.append(Report(kind=f"diffoscope-{kind}", data=data))
    return tuple(reports), tuple(notes)


def _read(path: Path, limit: int) -> bytes | None:
    """Read a little more than the limit of a regular file, without our directory's name, or None when there is none."""
    if path.is_symlink() or not path.is_file():
        return None
    with storage_errors(path), path.open("rb") as stream:
        return stream.read(limit + 1).replace(f"{path.parent.parent}/".encode(), b"")


def _is_json(data: bytes) -> bool:
    try:
        codec.parse_json(data)
    except HostileInput:
        return False
    return True


def _about(finished: Finished, *, is_empty: bool) -> tuple[str, ...]:
    """Say how it ended, when it did not end as it should."""
    words = [shown(line, 200) for line in finished.errors.decode("utf-8", "replace").splitlines() if line.strip()]
    match finished.status:
        case 0:
            return ("diffoscope sees no difference, although the bytes differ", *words[:3])
        case 1 if not is_empty:
            return tuple(words[:3])
        case status if status < 0:
            return (f"diffoscope was ended by signal {-status}: out of memory, time or disk", *words[-1:])
        case status:
            return (f"diffoscope ended with status {status}", *words[-1:])


def _lacking(reports: tuple[Report, ...]) -> tuple[str, ...]:
    """Name the programs that diffoscope missed for this report, in its own words, and bounds that it reached."""
    text = next((report.data for report in reports if report.kind == "diffoscope-text"), b"").decode("utf-8", "replace")
    tools = sorted(set(re.findall(r"'([\w.+-]{1,40})' not available in path", text)))
    notes = [f"diffoscope missed the program {tool}" for tool in tools]
    if re.search(r"Max (?:report|output|diff block|container depth)", text) or "timed out" in text.lower():
        notes.append("diffoscope reached one of its bounds; the report says where")
    return tuple(notes)


def _copy(source: Path, target: Path) -> None:
    with storage_errors(target):
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(source, target)


@contextmanager
def _directory(scratch: Path | None) -> Iterator[Path]:
    """Make a working directory and remove it whatever happens, whatever was written into it."""
    with storage_errors(scratch or Path(tempfile.gettempdir())):
        directory = Path(tempfile.mkdtemp(prefix=scratch_prefix("report"), dir=scratch))
    try:
        for name in ("out", "tmp"):
            (directory / name).mkdir()
        yield directory
    finally:
        _remove(directory)


def _remove(directory: Path) -> None:
    for path in (directory, *directory.rglob("*")):
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o700)
    shutil.rmtree(directory, ignore_errors=True)
