"""The outermost layer: whatever happens inside becomes one message, one hint and one exit code. Never a traceback."""

from __future__ import annotations

import errno
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

import click

from rebuilder.cli.output import OutputLost, complain, settle_streams
from rebuilder.errors import RebuilderError

BROKEN_PIPE = 128 + signal.SIGPIPE
INTERRUPTED = 130
INTERNAL = 4


class Terminated(KeyboardInterrupt):
    """Another process asked us to end (SIGTERM, SIGHUP): cleaned up after just as Ctrl-C is."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_code = 128 + number


def run(arguments: Sequence[str]) -> int:
    """Carry out a command line and return its exit code; nothing is raised."""
    settle_streams()
    _listen()
    try:
        return _finish(_run(arguments))
    except BrokenPipeError:
        _silence()
        return BROKEN_PIPE


def _run(arguments: Sequence[str]) -> int:  # noqa: PLR0911 - one line a way to end
    from rebuilder.cli.app import invoke  # noqa: PLC0415 - inside, so that a fault in it is caught as well

    try:
        answer = invoke(arguments)
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except click.ClickException as error:
        return _usage(error)
    except RebuilderError as error:
        return _told(error)
    except Terminated as ended:
        complain("ended by a signal; nothing half-done was published")
        return ended.exit_code
    except (KeyboardInterrupt, click.Abort):
        complain("interrupted; nothing half-done was published", "the same command goes on from what is cached")
        return INTERRUPTED
    except BrokenPipeError:
        raise
    except MemoryError:
        complain("this process ran out of memory", "free some, or lower `limits.memory` and `report_memory`")
        return INTERNAL
    except Exception as error:  # noqa: BLE001 - the last resort: a fault of ours is told, not shown
        return _fault(error)
    return answer if isinstance(answer, int) and not isinstance(answer, bool) else 0


def _told(error: RebuilderError) -> int:
    if not (isinstance(error, OutputLost) and _lost()):  # else it is told of at the end
        complain(str(error), error.hint)
    return error.exit_code


def _usage(error: click.ClickException) -> int:
    context = getattr(error, "ctx", None)
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.format_message(), err=True)
        return 2
    command = context.command_path if context is not None else "rebuilder"
    complain(error.format_message(), f"`{command} --help` shows what is possible")
    return 2


def _fault(error: Exception) -> int:
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        complain("a name is longer than a file's may be", "name a file or directory that is here")
        return 2
    return INTERNAL if _lost() else _internal(error)


def _internal(error: Exception) -> int:
    path = _save(error)
    first = (str(error) or type(error).__name__).splitlines()[0][:300]
    kept = f"the details are in {path}" if path else "the details could not be saved"
    complain(
        f"internal error: {type(error).__name__}: {first}", f"this is a defect of rebuilder: {kept}; please report it"
    )
    return INTERNAL


def _save(error: Exception) -> Path | None:
    """Keep the traceback in the state directory, whatever the settings say, for they may be what is broken."""
    try:
        from rebuilder.config import fallback_state_dir  # noqa: PLC0415 - only on the way to an error

        now = datetime.now(UTC)
        directory = fallback_state_dir() / "crashes"
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = directory / f"{now:%Y%m%dT%H%M%SZ}-{os.getpid()}.txt"
        path.write_text("".join(traceback.format_exception(error)), encoding="utf-8", errors="backslashreplace")
    except Exception:  # noqa: BLE001 - a second fault must not hide the first
        return None
    return path


def _listen() -> None:
    def end(number: int, _: FrameType | None) -> None:
        raise Terminated(number)

    with suppress(ValueError):  # not the main thread: whoever embeds us keeps their handlers
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, end)


def _finish(code: int) -> int:
    """Write what is left to be written; what cannot be is told, and is no success."""
    if lost := _lost():
        complain(f"the output could not be written: {lost}", "free some space, or send it elsewhere")
        code = INTERNAL
    try:
        sys.stderr.flush()
    except OSError:
        lost = "stderr as well"
    if lost:
        _silence()
    return code


def _lost() -> str:
    """Say why the output cannot be written; empty when it can. What could not be written is still waiting."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        return error.strerror or type(error).__name__
    return ""


def _silence() -> None:
    """Let the interpreter's last flush go nowhere, for the reader is gone."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            os.dup2(nowhere, stream.fileno())
