"""Where unpacked bytes go: one unnamed temporary file, filled within a budget."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from rebuilder.compare.readers.extent import Extent
from rebuilder.compare.readers.limits import ReadLimits
from rebuilder.errors import HostileInput
from rebuilder.world.files import storage_errors


class Workspace:
    """Opens one file for reading and spends one budget on everything inside it.

    The scratch file has no name from the beginning (or loses it at once), so nothing is left behind however the
    process ends. One thread uses a workspace at a time.
    """

    def __init__(self, limits: ReadLimits | None = None, *, directory: Path | None = None) -> None:
        self.limits = limits or ReadLimits()
        self._directory = directory
        self._stack = ExitStack()
        self._scratch: int | None = None
        self._spilled = 0
        self._members = 0
        self._nested = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
        self._scratch = None

    def open(self, path: Path) -> Extent:
        """Open the whole of a regular file."""
        with storage_errors(path):
            stream = self._stack.enter_context(path.open("rb"))
            return Extent(descriptor=stream.fileno(), start=0, size=os.fstat(stream.fileno()).st_size)

    def spill(self, blocks: Iterable[bytes], *, packed_bytes: int) -> Extent:
        """Keep unpacked bytes that came from `packed_bytes`; raise HostileInput when they pass a bound."""
        descriptor = self._descriptor()
        start = self._spilled
        for block in blocks:
            self._check(self._spilled - start + len(block), packed_bytes)
            self._write(descriptor, block)
        return Extent(descriptor=descriptor, start=start, size=self._spilled - start)

    def count_member(self) -> None:
        """Note one more member; raise HostileInput when there are too many."""
        self._members += 1
        if self._members > self.limits.members:
            raise HostileInput(f"more than {self.limits.members} members")

    def count_nested(self) -> None:
        """Note one more container within a shipped one; raise HostileInput when there are too many."""
        self._nested += 1
        if self._nested > self.limits.nested:
            raise HostileInput(f"more than {self.limits.nested} containers within shipped containers")

    def _check(self, unpacked: int, packed: int) -> None:
        limits = self.limits
        if self._spilled + unpacked > limits.total_bytes:
            raise HostileInput(f"unpacks to more than {limits.total_bytes} bytes")
        if unpacked > limits.ratio_free_bytes and unpacked > limits.ratio * max(packed, 1):
            raise HostileInput(f"unpacks to more than {limits.ratio} times its size")

    def _write(self, descriptor: int, block: bytes) -> None:
        view = memoryview(block)
        with storage_errors(Path(tempfile.gettempdir())):
            while view:
                written = os.pwrite(descriptor, view, self._spilled)
                self._spilled += written
                view = view[written:]

    def _descriptor(self) -> int:
        if self._scratch is None:
            with storage_errors(self._directory or Path(tempfile.gettempdir())):
                stream = self._stack.enter_context(
                    tempfile.TemporaryFile(dir=self._directory, buffering=0)  # noqa: SIM115 - the stack closes it
                )
            self._scratch = stream.fileno()
        return self._scratch
