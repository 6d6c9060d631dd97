"""What may be asked of the sandboxed child: a closed list of bounded functions from a request to an answer.

To add one: a request, a function, one line in TASKS.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from rebuilder.compare.files import compare_file
from rebuilder.compare.readers.deb import DATA, read_deb_member
from rebuilder.compare.readers.limits import ReadLimits
from rebuilder.compare.rule import rule_by_id
from rebuilder.errors import HostileInput
from rebuilder.model.comparison import ArtifactComparison


class TaskName(StrEnum):
    """A function that the child knows."""

    COMPARE = "compare"
    DEB_MEMBER = "deb-member"


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareRequest:
    """Compare two files under a rule."""

    reference: str
    rebuilt: str
    filename: str
    rule: str
    limits: ReadLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class DebMemberRequest:
    """Take one file out of a .deb."""

    path: str
    suffix: str
    part: str = DATA
    limit_bytes: int = 4 * 1024**2


@dataclass(frozen=True, slots=True, kw_only=True)
class FileContent:
    """A file's name, as its container writes it, and its bytes in base64."""

    name: str
    base64: str

    def data(self) -> bytes:
        """Return the bytes; raise HostileInput when they are not base64."""
        try:
            return base64.b64decode(self.base64, validate=True)
        except (binascii.Error, ValueError) as error:
            raise HostileInput("the child's answer is not base64") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """How to read a request, what it is about, what to do, and what comes back."""

    request: type[Any]
    files: Callable[[Any], tuple[Path, ...]]
    """Which files a request is about: all that the child may read."""
    run: Callable[[Any], Any]
    answer: type[Any]


def _compare(request: CompareRequest) -> ArtifactComparison:
    return compare_file(
        Path(request.reference),
        Path(request.rebuilt),
        filename=request.filename,
        rule=rule_by_id(request.rule),
        limits=request.limits,
    )


def _deb_member(request: DebMemberRequest) -> FileContent:
    name, data = read_deb_member(Path(request.path), request.suffix, part=request.part, limit_bytes=request.limit_bytes)
    printable = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return FileContent(name=printable, base64=base64.b64encode(data).decode("ascii"))


TASKS: dict[TaskName, Task] = {
    TaskName.COMPARE: Task(
        request=CompareRequest,
        files=lambda request: (Path(request.reference), Path(request.rebuilt)),
        run=_compare,
        answer=ArtifactComparison,
    ),
    TaskName.DEB_MEMBER: Task(
        request=DebMemberRequest,
        files=lambda request: (Path(request.path),),
        run=_deb_member,
        answer=FileContent,
    ),
}
