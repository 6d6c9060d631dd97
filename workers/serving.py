"""One worker's loop: claim, keep hold of the job while its step runs, report; until nothing is owed."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType

from rebuilder.errors import Interrupted, LeaseLost, NetworkFailure, RebuilderError
from rebuilder.model.cause import Cause
from rebuilder.model.job import JobKind
from workers.lease.protocol import Claim, Leases
from workers.roles.place import Place, Step

_PAUSE_S = 2.0


def do_nothing() -> None:
    """Where something may be done, and nothing need be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """A role as one process fills it."""

    kind: JobKind
    step: Step
    place: Place
    leases: Leases
    heartbeat_s: float
    rest: Callable[[], None] = do_nothing
    """Called whenever nothing is owed: what can wait until then is done now."""
    ready: Callable[[], None] = do_nothing
    """Asked before a job is claimed; raises an error of ours when none can be done here now, so that others get it."""


def serve(post: Post, job: int | None = None) -> int:
    """Do jobs until none is owed to this worker, the named one first; return how many were claimed."""
    served = 0
    post.ready()
    claim = post.leases.claim(post.kind, job)
    if claim is None and job is not None:
        claim = post.leases.claim(post.kind)
    while claim is not None:
        do(post, claim)
        served += 1
        post.ready()
        claim = post.leases.claim(post.kind)
    post.rest()
    return served


def do(post: Post, claim: Claim) -> None:
    """Do one job and report it.

    1. While the step runs a heartbeat keeps the lease. Where it is lost the step is interrupted, and nothing reported;
       where a person wants the job stopped, that it stopped is.
    2. An error of ours is reported with its cause; a defect is reported, and raised.
    3. A report that nobody answers is told again as long as the lease may hold.
    """
    try:
        with _holding(post, claim):
            output = post.step(claim, post.place)
        _tell(claim, lambda: post.leases.report_done(claim, output))
    except LeaseLost as error:
        post.place.progress.note(claim.target, f"job {claim.job}: {error}")
    except RebuilderError as error:
        cause, message = error.cause, str(error)
        _give_up(post, claim, cause, message)
    except Exception as error:
        _give_up(post, claim, Cause.INFRASTRUCTURE, f"defect: {type(error).__name__}: {error}")
        raise


def _give_up(post: Post, claim: Claim, cause: Cause, message: str) -> None:
    with suppress(LeaseLost):
        _tell(claim, lambda: post.leases.report_failed(claim, cause, message))


def _tell(claim: Claim, report: Callable[[], None]) -> None:
    until = time.monotonic() + claim.lease_s
    while True:
        try:
            report()
        except NetworkFailure:
            if time.monotonic() > until:
                raise
            time.sleep(_PAUSE_S)
        else:
            return


@contextmanager
def _holding(post: Post, claim: Claim) -> Iterator[None]:
    """Say heartbeats from a thread; what they learn interrupts the step, which runs in the main thread."""
    ended, lost, stopped = threading.Event(), list[str](), list[str]()

    def beat() -> None:
        while not ended.wait(post.heartbeat_s):
            try:
                if post.leases.heartbeat(claim):
                    stopped.append(f"job {claim.job} was stopped by a person")
            except NetworkFailure as error:
                post.place.progress.note(claim.target, f"job {claim.job}: no heartbeat: {error}")
            except RebuilderError as error:
                lost.append(str(error))
            if lost or stopped:
                _interrupt(ended)
                return

    thread = threading.Thread(target=beat, name=f"heartbeat-{claim.job}", daemon=True)
    with _interruptible():
        thread.start()
        try:
            yield
        except Interrupted as error:
            if lost:
                raise LeaseLost(lost[0]) from error
            raise Interrupted(stopped[0] if stopped else str(error)) from error
        finally:
            ended.set()
            thread.join()
    if lost:
        raise LeaseLost(lost[0])


def _interrupt(ended: threading.Event) -> None:
    main = threading.main_thread().ident
    if main is not None and not ended.is_set() and signal.getsignal(signal.SIGUSR2) is _raise:
        signal.pthread_kill(main, signal.SIGUSR2)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let SIGUSR2 end a step; where the step is not in the main thread, it runs to its end and does not count."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGUSR2, _raise)
    try:
        yield
    finally:
        signal.signal(signal.SIGUSR2, before)


def _raise(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - a handler's signature
    raise Interrupted("the job is not this worker's any more")
