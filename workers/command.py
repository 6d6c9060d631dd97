"""The farm's processes: `python -m workers ROLE`, one a container. docs/FARM.md says how they are laid out."""

from __future__ import annotations

import signal
import sys
from datetime import timedelta
from pathlib import Path
from threading import Event
from types import FrameType

import click
import structlog
from prometheus_client import CollectorRegistry

from rebuilder.config import Settings, load_settings
from rebuilder.errors import RebuilderError
from rebuilder.model.job import JobKind
from rebuilder.progress import Silent
from rebuilder.store.blobs import LocalBlobs
from workers.listening import served
from workers.observing import configure_logs, health_app
from workers.running import Ports, run_web, run_worker
from workers.starting import now, open_blobs

_PORT = click.IntRange(1, 65535)
_KINDS = tuple(kind.value for kind in JobKind)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--config", type=click.Path(path_type=Path), help="rebuilder.toml to read instead of the usual one.")
@click.option("--host", default="0.0.0.0", show_default=True, help="Address to listen on.")  # noqa: S104 - a container
@click.option(
    "--health-port", default=9100, type=_PORT, show_default=True, help="Port of /healthz, /readyz and /metrics."
)
@click.pass_context
def main(context: click.Context, config: Path | None, host: str, health_port: int) -> None:
    """Run one part of a farm until it is told to stop."""
    configure_logs(context.invoked_subcommand or "workers", sys.stderr)
    context.obj = (load_settings(config), host, health_port)


def _stopping() -> Event:
    """Give the event that SIGTERM and SIGINT set."""
    stopped = Event()

    def stop(number: int, frame: FrameType | None) -> None:
        del number, frame
        stopped.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    return stopped


@main.command()
@click.option("--port", default=8700, type=_PORT, show_default=True, help="Port of the lease API.")
@click.pass_obj
def coordinator(given: tuple[Settings, str, int], port: int) -> None:
    """Serve the lease API and sweep. An empty ledger gets its tables; one of an older schema is refused."""
    from workers.coordinator.running import run_coordinator  # noqa: PLC0415 - databases are slow to load, and large

    settings, host, health = given
    run_coordinator(settings, Ports(host=host, health=health, service=port), _stopping())


@main.command()
@click.option("--port", default=8080, type=_PORT, show_default=True, help="Port of the results.")
@click.pass_obj
def web(given: tuple[Settings, str, int], port: int) -> None:
    """Serve the results."""
    settings, host, health = given
    run_web(settings, Ports(host=host, health=health, service=port), _stopping())


@main.command()
@click.argument("kind", type=click.Choice(_KINDS))
@click.option("--tag", "tags", multiple=True, help="What this worker offers: an architecture, a label. Repeatable.")
@click.pass_obj
def worker(given: tuple[Settings, str, int], kind: str, tags: tuple[str, ...]) -> None:
    """Do jobs of one KIND."""
    settings, host, health = given
    configure_logs(kind, sys.stderr)
    run_worker(JobKind(kind), settings, Ports(host=host, health=health, service=0), _stopping(), tags)


@main.command()
@click.argument("kind", type=click.Choice(_KINDS))
@click.option("--name", required=True, help="What people call this worker.")
@click.option("--token-file", required=True, type=click.Path(path_type=Path), help="Has the operator's token.")
@click.pass_obj
def enrol(given: tuple[Settings, str, int], kind: str, name: str, token_file: Path) -> None:
    """Make this machine's key known to the coordinator, for steps of one KIND."""
    from workers.enrolling import enrol_here  # noqa: PLC0415 - only here

    enrolled = enrol_here(JobKind(kind), given[0], token_file=token_file, name=name)
    offered = ", ".join((*enrolled.tags, *enrolled.resources))
    click.echo(f"enrolled key {enrolled.keyid} for {', '.join(enrolled.roles)} ({offered}) in {enrolled.fault_domain}")


@main.command()
@click.argument("suites", nargs=-1, metavar="[SUITE…]")
@click.pass_obj
def bases(given: tuple[Settings, str, int], suites: tuple[str, ...]) -> None:
    """Bootstrap, as root, the base images of SUITES into the cache of a planner, as the archive is now.

    Without any SUITE: until told to stop, those that the planner asked for and did not find.
    """
    configure_logs("bases", sys.stderr)
    from rebuilder.world.http import HttpFetcher  # noqa: PLC0415 - only here
    from workers.bases import Bases, serve_bases  # noqa: PLC0415 - as above

    settings, host, health = given
    made = Bases(settings, HttpFetcher(), Silent())
    for lock, rootfs in made.make(suites, now()):
        click.echo(f"{lock.suite} {lock.architecture}: {len(lock.packages)} packages, root file system {rootfs}")
    if not suites:
        with served(health_app({"bases": made.verify_made}, CollectorRegistry()), host=host, port=health):
            serve_bases(made, _stopping())


@main.command()
@click.option("--dry-run", is_flag=True, help="Say what would go, and remove nothing.")
@click.option("--grace-hours", default=48, show_default=True, help="No blob goes before it is that old.")
@click.option("--keep-days", type=int, help="How long a finished case keeps its files; for ever when not given.")
@click.pass_obj
def garbage(given: tuple[Settings, str, int], *, dry_run: bool, grace_hours: int, keep_days: int | None) -> None:
    """Remove the blobs that nothing in the ledger names any more."""
    from rebuilder.store.opening import open_database  # noqa: PLC0415 - slow to load, and only here
    from rebuilder.store.schema import Preparation  # noqa: PLC0415 - as above
    from workers.garbage import LocalStore, Retention, collect  # noqa: PLC0415 - as above

    settings, _, _ = given
    blobs = open_blobs(settings)
    store = LocalStore(blobs) if isinstance(blobs, LocalBlobs) else blobs
    retention = Retention(
        grace=timedelta(hours=grace_hours), finished=None if keep_days is None else timedelta(days=keep_days)
    )
    found = collect(open_database(settings, Preparation.VERIFY), store, retention, now(), dry_run=dry_run)
    word = "would remove" if dry_run else "removed"
    click.echo(
        f"{word} {len(found.removed)} blobs, {found.freed_bytes} bytes; "
        f"kept {found.kept} that are named and {found.young} that are young"
    )


def run() -> int:
    """Run, and end with the documented exit codes; a fault is one line in the log."""
    try:
        main.main(standalone_mode=False)
    except RebuilderError as error:
        structlog.stdlib.get_logger("workers").error("stopped", error=str(error), hint=error.hint)
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return 2
    except click.Abort:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(run())
