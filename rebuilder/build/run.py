"""One run of one plan: the build itself, in a container that can reach nothing and exceed nothing.

Procedure of `Runner.run`, numbered as in the code:

1. Check the inputs against the plan: every source is there and has its digest.
2. Fill the volumes: inputs (read-only in the build), build tree and outputs (owned by the unprivileged user).
3. Run `sh -c <script>` without network, capabilities and writable root, with an empty environment but the plan's.
4. Watch it: wall clock, length of the log, bytes written, the engine's disk; what goes over is killed.
5. Judge how it ended (`rebuilder.build.ending`). That the build failed, hung or grew too big is an outcome; that the
   engine died is EngineFailure. What it wrote is measured once more, for it may have ended between two looks.
6. Take the outputs, bounded; none is a failure, and so are links, devices and directories among them.
7. Wait for the environment's tree digest: a run in an altered environment does not count.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from rebuilder.build import ending, machine
from rebuilder.build.capture import LogCapture
from rebuilder.build.container import Container, Engine, Mount, Spec, State, Tmpfs
from rebuilder.build.ending import Ending
from rebuilder.build.gauge import Gauge
from rebuilder.build.once import INPUT
from rebuilder.build.outputs import OUTPUT, collect
from rebuilder.build.prepare import Prepared
from rebuilder.build.streams import Entry, pack
from rebuilder.errors import EngineFailure, HostileInput, ResourceExhausted, SourceUnavailable
from rebuilder.model import codec
from rebuilder.model.digest import Digest
from rebuilder.model.plan import Plan
from rebuilder.model.rebuild import Rebuild
from rebuilder.model.verdict import Outcome
from rebuilder.progress import Progress, Silent
from rebuilder.store.blobs import BlobStore
from rebuilder.world import files
from rebuilder.world.scratch import prefix as scratch_prefix

USER_ID = 1000
"""Numeric user and group of every build."""
_TICK_S = 0.25
_DRAIN_S = 30
_SCRATCH = ("/tmp", "/var/tmp", "/run")  # noqa: S108 - inside the container
_SCRATCH_LIMIT_BYTES = 2 * 1024**3
_FORBIDDEN_ROOTS = frozenset(
    {
        "bin",
        "boot",
        "dev",
        "etc",
        "input",
        "lib",
        "lib32",
        "lib64",
        "output",
        "proc",
        "run",
        "sbin",
        "sys",
        "usr",
        "var",
    }
)
_SHARED_ROOTS = frozenset({"home", "media", "mnt", "opt", "root", "srv", "tmp"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """Who runs which time, and who listens."""

    builder: str
    """Key id of the builder key."""
    ordinal: int = 0
    target: str = ""
    progress: Progress = field(default_factory=Silent)


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner:
    """Runs plans on one engine and stores what they leave."""

    engine: Engine
    blobs: BlobStore

    def run(self, plan: Plan, prepared: Prepared, inputs: Mapping[str, Path], ticket: Ticket) -> Rebuild:
        """Run the plan once; its log and outputs are among the blobs afterwards.

        `inputs` are the sources' files by name. Raise SourceUnavailable, DigestMismatch, HostileInput (for a plan that
        no honest planner makes), EngineFailure, EnvironmentUnavailable: then there was no run to speak of.
        """
        contents = _checked_inputs(plan, inputs)  # 1
        described = machine.describe(self.engine, prepared.image)
        started = datetime.now(UTC)
        with tempfile.TemporaryDirectory(prefix=scratch_prefix("run")) as directory:
            end = self._run(plan, prepared.image, contents, ticket, Path(directory))
            finished = datetime.now(UTC)
            log = self.blobs.put_file(Path(directory, "log"))
        return Rebuild(
            plan=Digest.of(codec.render(plan)),
            builder=ticket.builder,
            ordinal=ticket.ordinal,
            outcome=end.outcome,
            reason=end.reason,
            outputs=end.outputs,
            log=log,
            environment_tree=prepared.tree(),  # 7
            fresh_environment=prepared.fresh,
            machine=described,
            started_at=started,
            finished_at=finished,
        )

    def _run(self, plan: Plan, image: Digest, contents: Mapping[str, Entry], ticket: Ticket, scratch: Path) -> Ending:
        top = _mount_point(plan.environment.build_path)
        with ExitStack() as stack:
            volumes = [stack.enter_context(self.engine.volume()) for _ in range(3)]
            spec = _spec(plan, image, tuple(zip((INPUT, top, OUTPUT), volumes, strict=True)))
            self._fill(spec, contents, plan.environment.build_path)  # 2
            container = stack.enter_context(self.engine.container(spec))
            log = LogCapture(container.start(), scratch / "log", limit_bytes=plan.limits.log_bytes)  # 3
            written = tuple(mount for mount in spec.mounts if mount.path != INPUT)
            gauge = stack.enter_context(Gauge(self.engine, image, written, limit_bytes=plan.limits.output_bytes))
            gauge.start()
            killed = _watch(container, log, plan, ticket, gauge)  # 4
            state = _ended(container)
            log.close(_DRAIN_S)
            end = killed or ending.judge(state, log.tail(), plan.limits)  # 5
            if end.outcome is Outcome.SUCCEEDED:
                excess = gauge.finish()  # before anything of it is read
                end = ending.too_big(excess) if excess else self._outputs(container, scratch, plan)  # 6
        return end

    def _fill(self, spec: Spec, contents: Mapping[str, Entry], build_path: str) -> None:
        """Fill the volumes.

        Docker takes who owns a volume's root from an entry of the directory above, and puts what lies below it into the
        volume; Podman does not look for volumes below the path that is named, and takes the owner from the entry `.`.
        """
        mounts = tuple(Mount(volume=mount.volume, path=mount.path, writable=True) for mount in spec.mounts)
        filler = Spec(image=spec.image, command=("/bin/true",), mounts=mounts, read_only=False)
        top, start = PurePosixPath(_mount_point(build_path)), PurePosixPath(_start(build_path))
        inner = start.relative_to(top)
        written = {str(top): (*reversed(inner.parents), inner), OUTPUT: (PurePosixPath(),)}
        with self.engine.container(filler) as container:
            container.put(INPUT, pack(contents))
            if self.engine.describe().name == "podman":
                for path, below in written.items():
                    container.put(path, pack({str(each): None for each in below}, directory_owner=USER_ID))
            else:
                paths = (PurePosixPath(path, each) for path, below in written.items() for each in below)
                container.put("/", pack({str(path)[1:]: None for path in paths}, directory_owner=USER_ID))

    def _outputs(self, container: Container, scratch: Path, plan: Plan) -> Ending:
        try:
            outputs = collect(container, self.blobs, scratch, limit_bytes=plan.limits.output_bytes)
        except HostileInput as error:
            return Ending(outcome=Outcome.FAILED, reason=str(error))
        except ResourceExhausted as error:
            return Ending(outcome=Outcome.RESOURCE_EXHAUSTED, reason=str(error))
        if not outputs:
            return Ending(outcome=Outcome.FAILED, reason="the build succeeded but made no output")
        return Ending(outcome=Outcome.SUCCEEDED, outputs=outputs)


def _checked_inputs(plan: Plan, inputs: Mapping[str, Path]) -> dict[str, Entry]:
    contents: dict[str, Entry] = {}
    for source in plan.sources:
        path = inputs.get(source.filename)
        if path is None:
            raise SourceUnavailable(f"source {source.filename} of {plan.name} was not fetched")
        files.verify_digest(path, source.digest)
        contents[source.filename] = path
    for name, text in plan.texts:
        if name in contents or "/" in name or name in {"", ".", ".."}:
            raise HostileInput(f"the plan's text {name[:80]!r} has not a plain name of its own")
        contents[name] = text.encode()
    return contents


def _mount_point(build_path: str) -> str:
    """Where the build tree's volume goes: the topmost directory of the path that is not the system's."""
    path = PurePosixPath(build_path)
    parts = path.parts
    if str(path) != build_path or not path.is_absolute() or ".." in parts or len(parts) < 2:
        raise HostileInput(f"not a build path: {build_path[:80]!r}")
    if parts[1] in _FORBIDDEN_ROOTS:
        raise HostileInput(f"a build path below /{parts[1]} would hide the environment: {build_path[:80]!r}")
    depth = 3 if parts[1] in _SHARED_ROOTS else 2
    if len(parts) < depth:
        raise HostileInput(f"a build path that is /{parts[1]} itself would hide the environment")
    return str(PurePosixPath(*parts[:depth]))


def _start(build_path: str) -> str:
    """Where the script starts: beside the build tree, which it makes itself."""
    path = PurePosixPath(build_path)
    return build_path if path.parent == PurePosixPath("/") else str(path.parent)


def _spec(plan: Plan, image: Digest, volumes: tuple[tuple[str, str], ...]) -> Spec:
    scratch = min(plan.limits.memory_bytes // 2, _SCRATCH_LIMIT_BYTES)
    return Spec(
        image=image,
        command=("/bin/sh", "-c", plan.script),
        user=f"{USER_ID}:{USER_ID}",
        environment=plan.environment.variables,
        directory=_start(plan.environment.build_path),
        hostname=plan.environment.hostname,
        mounts=tuple(Mount(volume=volume, path=path, writable=path != INPUT) for path, volume in volumes),
        tmpfs=tuple(Tmpfs(path=path, size_bytes=scratch, executable=True) for path in _SCRATCH),
        limits=plan.limits,
    )


def _watch(container: Container, log: LogCapture, plan: Plan, ticket: Ticket, gauge: Gauge) -> Ending | None:
    """Wait for the end; kill what goes over a limit and say so."""
    deadline = time.monotonic() + plan.limits.wall_s
    while not log.wait(_TICK_S):
        ticket.progress.advance(ticket.target, log.lines, None, "lines")
        end = None
        if log.is_over:
            end = _flooded(plan)
        elif gauge.excess is not None:
            end = ending.too_big(gauge.excess)
        elif time.monotonic() > deadline:
            end = Ending(outcome=Outcome.TIMED_OUT, reason=f"the build did not end within {plan.limits.wall_s} s")
        if end is not None:
            container.kill()
            return end
    return _flooded(plan) if log.is_over else None


def _flooded(plan: Plan) -> Ending:
    return ending.too_big(f"its log is longer than {plan.limits.log_bytes} bytes")


def _ended(container: Container) -> State:
    state = container.wait(_DRAIN_S)
    if state is None:
        raise EngineFailure("the container's output ended, but the container did not")
    return state
