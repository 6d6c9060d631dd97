"""`rebuilder image`: base images that follow, bit for bit, from a lock, or that are pulled by digest."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rebuilder.cli import options
from rebuilder.cli.output import say, say_json
from rebuilder.cli.paths import output_file

if TYPE_CHECKING:
    from rebuilder.build.container import Engine
    from rebuilder.cli.imaging import Images
    from rebuilder.cli.progress import ShownProgress
    from rebuilder.progress import Progress


@click.group("image", context_settings=options.CONTEXT)
def command() -> None:
    """Lock, build, verify and list base images.

    A lock names every package of an image with version and digest; the image follows from it bit for bit, so that
    anybody can make it again and compare. An image of a registry can be pulled by digest instead: its lock names its
    packages too, but it does not follow from them. WHAT is a lock file, the digest of a lock or an image that was made
    here, or the name of a suite, which is then locked as it is now.
    """


@command.command("lock", cls=options.JsonVerb)
@click.argument("suite")
@click.option(
    "-o", "--out", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write the lock to FILE."
)
@click.option(
    "--pull", "reference", metavar="NAME@sha256:…", help="Lock this image of a registry instead of a bootstrap."
)
@options.config_option
@options.quiet_option
@options.json_option
def lock(  # noqa: PLR0913 - one parameter an option
    suite: str, out: Path | None, reference: str | None, config: Path | None, *, quiet: bool, as_json: bool
) -> None:
    """Compute the packages of SUITE's base image from the signed archive as it is now.

    With --pull, or where debian.images chooses one for SUITE, an image is pulled by digest. Each package that it holds
    must be named by a signed index of SUITE, which gives the digest; an image with any other package is refused.
    """
    from rebuilder.model.codec import render  # noqa: PLC0415 - after the options are parsed
    from rebuilder.model.digest import Digest  # noqa: PLC0415
    from rebuilder.world.files import write_atomically  # noqa: PLC0415

    if out is not None:
        output_file(out, (Path(suite),))
    with _progress(quiet=quiet) as shown:
        images, engine = _images(config, shown), _engine(config)
        made = images.find(suite, engine) if reference is None else images.pull(suite, reference, engine)
        shown.finish(suite)
    data = render(made)
    if out is not None:
        write_atomically(out, data)
    answer = {
        "lock": str(Digest.of(data)),
        "suite": made.suite,
        "architecture": made.architecture,
        "packages": len(made.packages),
        "epoch": made.epoch,
        "installer": made.installer,
        "pulled": made.pulled.reference if made.pulled else None,
        "image": str(made.pulled.image) if made.pulled else None,
        "file": str(out) if out else None,
    }
    line = f"{answer['lock']}  {made.suite} {made.architecture}, {len(made.packages)} packages"
    _tell(answer, line + (f", pulled: {made.pulled.reference}" if made.pulled else ""), as_json=as_json)


@command.command("build", cls=options.JsonVerb)
@click.argument("what", metavar="WHAT")
@click.option("--no-prewarm", is_flag=True, help="Only the image: prepare nothing on top of it.")
@options.config_option
@options.quiet_option
@options.json_option
def build(what: str, config: Path | None, *, no_prewarm: bool, quiet: bool, as_json: bool) -> None:
    """Bootstrap the image of WHAT and load it into the engine; print its id, which the lock predicts.

    What most builds install is then installed on top of it, as a prepared environment of its own: a build whose
    packages include all of it starts from there.

    Where the lock says that the image is pulled, it is, and must be the very image that was locked.
    """
    with _progress(quiet=quiet) as shown:
        images, engine = _images(config, shown), _engine(config)
        lock = images.find(what, engine)
        image = images.ensure(lock, engine)
        prewarmed = not no_prewarm and images.prewarm(lock, image, engine)
        shown.finish(lock.suite)
    answer: dict[str, object] = {
        "image": str(image),
        "suite": lock.suite,
        "architecture": lock.architecture,
        "pulled": lock.pulled.reference if lock.pulled else None,
        "prewarmed": prewarmed,
    }
    _tell(answer, str(image), as_json=as_json)


@command.command("verify", cls=options.JsonVerb)
@click.argument("what", metavar="WHAT")
@click.option("--image", "expected", metavar="ID", help="Compare with this image id instead of the one made here.")
@options.config_option
@options.quiet_option
@options.json_option
def verify(what: str, expected: str | None, config: Path | None, *, quiet: bool, as_json: bool) -> int:
    """Make the image of WHAT once more from its lock and compare: exit code 0 when it is the same, 1 when not.

    A pulled image cannot be made from packages: it is pulled once more, and its id and package list are compared.
    """
    from rebuilder.cli.imaging import tell_again  # noqa: PLC0415 - as above

    with _progress(quiet=quiet) as shown:
        images, engine = _images(config, shown), _engine(config)
        lock = images.find(what, engine)
        again = images.again(lock, expected, engine)
        shown.finish(lock.suite)
    answer = {
        "same": again.is_same,
        "expected": str(again.recorded),
        "made": str(again.made),
        "suite": lock.suite,
        "pulled": lock.pulled.reference if lock.pulled else None,
        "odd_packages": list(again.odd),
    }
    _tell(answer, tell_again(again, lock), as_json=as_json)
    return 0 if again.is_same else 1


@command.command("list", cls=options.JsonVerb)
@options.config_option
@options.json_option
def list_images(config: Path | None, *, as_json: bool) -> None:
    """List the locks and images that this machine has made or pulled, and whether the engine still holds each."""
    from rebuilder.progress import Silent  # noqa: PLC0415 - as above

    entries = _images(config, Silent()).entries(_engine(config))
    if as_json:
        say_json({"images": entries})
        return
    for entry in entries:
        state = "here" if entry["loaded"] else "not in the engine" if entry["image"] else "not built"
        pulled = f"  pulled: {entry['pulled']}" if entry["pulled"] else ""
        say(f"{entry['suite']:<20} {entry['architecture']:<8} {entry['image'] or entry['lock']}  {state}{pulled}")
    if not entries:
        say("none yet: `rebuilder image build trixie`")


def _tell(answer: dict[str, object], line: str, *, as_json: bool) -> None:
    if as_json:
        say_json(answer)
    else:
        say(line)


def _progress(*, quiet: bool) -> ShownProgress:
    from rebuilder.cli.progress import for_stderr  # noqa: PLC0415 - as above

    return for_stderr(sys.stderr, quiet=quiet)


def _images(config: Path | None, progress: Progress) -> Images:
    from rebuilder.cli.imaging import Images  # noqa: PLC0415 - as above

    return Images(options.settings_from(config), progress)


def _engine(config: Path | None) -> Engine:
    from rebuilder.cli.world import open_engine  # noqa: PLC0415 - as above

    return open_engine(options.settings_from(config))
