"""Real servers for tests, each in a directory of its own, on loopback, ended with the context: PostgreSQL and Redis."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.tls import Proof

_PATIENCE_S = 60


def free_port() -> int:
    """Find a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(kw_only=True)
class Postgres:
    """A PostgreSQL server with one database, `farm`, of a user `farm` with a password."""

    root: Path
    port: int
    password: str = "only-for-tests"  # noqa: S105 - as it says
    durable: bool = False
    """Whether a commit waits for the disk: for measuring."""

    @property
    def address(self) -> str:
        """What SQLAlchemy connects to, without the password."""
        return f"postgresql+psycopg://farm@127.0.0.1:{self.port}/farm"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = f"-c port={self.port} -c unix_socket_directories={self.root}"
        options += "" if self.durable else " -c fsync=off"
        self._run(
            "pg_ctl",
            "-D",
            self.root / "data",
            "-w",
            "-t",
            str(_PATIENCE_S),
            "-o",
            options,
            "-l",
            self.root / "log",
            "start",
        )

    def stop(self, mode: str = "fast") -> None:
        """Stop it: `fast` rolls transactions back, `immediate` is a crash."""
        self._run("pg_ctl", "-D", self.root / "data", "-m", mode, "-w", "stop")

    @property
    def is_up(self) -> bool:
        """Whether it accepts connections."""
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=5):
            return True
        return False

    def make(self) -> None:
        """Make the cluster, the user and the database."""
        self.root.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:
            shutil.chown(self.root, "postgres", "postgres")
            self.root.chmod(0o700)
        self._run("initdb", "-D", self.root / "data", "-A", "scram-sha-256", "-U", "admin", "--pwfile", self._secret())
        self.start()
        words = f"CREATE ROLE farm LOGIN PASSWORD '{self.password}'; CREATE DATABASE farm OWNER farm;"
        for statement in words.split(";")[:2]:
            self._run("psql", "-h", "127.0.0.1", "-p", str(self.port), "-U", "admin", "-c", statement, "postgres")

    def _secret(self) -> Path:
        path = self.root / "secret"
        path.write_text(self.password)
        if os.geteuid() == 0:
            shutil.chown(path, "postgres")
        path.chmod(0o600)
        return path

    def _run(self, program: str, *words: str | Path) -> None:
        path = next(iter(sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"))), Path(program))
        user = pwd.getpwnam("postgres").pw_uid if os.geteuid() == 0 else None
        subprocess.run(
            [path, *map(str, words)],
            check=True,
            capture_output=program != "pg_ctl",
            stdout=subprocess.DEVNULL if program == "pg_ctl" else None,
            user=user,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "PGPASSWORD": self.password},
            cwd=self.root,
        )


@contextmanager
def postgres(root: Path, *, durable: bool = False) -> Iterator[Postgres]:
    """Run PostgreSQL as long as the context lasts. `root` is made, and must be reachable by the user `postgres`."""
    server = Postgres(root=root, port=free_port(), durable=durable)
    server.make()
    try:
        yield server
    finally:
        with suppress(subprocess.CalledProcessError):
            server.stop("immediate")


@dataclass(kw_only=True)
class Redis:
    """A Redis server that keeps an append-only file, with a password; it speaks TLS alone where it has a proof."""

    root: Path
    port: int
    password: str = "only-for-tests"  # noqa: S105 - as it says
    proof: Proof | None = None
    process: subprocess.Popen[bytes] | None = None

    @property
    def place(self) -> str:
        """What `farm.broker` says."""
        return f"{'rediss' if self.proof else 'redis'}://default@127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self.root.mkdir(parents=True, exist_ok=True)
        words = ["--bind", "127.0.0.1", "--dir", str(self.root), "--appendonly", "yes"]
        if self.proof is None:
            words += ["--port", str(self.port)]
        else:
            words += ["--port", "0", "--tls-port", str(self.port), "--tls-auth-clients", "no"]
            words += ["--tls-cert-file", str(self.proof.certificate), "--tls-key-file", str(self.proof.key)]
        words += ["--requirepass", self.password, "--save", "", "--maxmemory-policy", "noeviction"]
        with (self.root / "log").open("ab") as log:
            self.process = subprocess.Popen(["redis-server", *words], stdout=log, stderr=log)
        deadline = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return
            time.sleep(0.05)
        raise TimeoutError("redis-server does not answer")

    def stop(self, *, kill: bool = False) -> None:
        """End it; `kill` is a crash."""
        if self.process is not None:
            (self.process.kill if kill else self.process.terminate)()
            self.process.wait(_PATIENCE_S)
            self.process = None


@contextmanager
def redis(root: Path, *, proof: Proof | None = None) -> Iterator[Redis]:
    """Run Redis as long as the context lasts."""
    server = Redis(root=root, port=free_port(), proof=proof)
    server.start()
    try:
        yield server
    finally:
        server.stop(kill=True)
