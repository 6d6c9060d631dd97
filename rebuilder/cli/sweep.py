"""`rebuilder sweep`: take away what killed runs left."""

from __future__ import annotations

from pathlib import Path

from rebuilder.cli import options
from rebuilder.cli.output import say, say_json


@options.verb(
    "sweep",
    """
rebuilder sweep   remove containers, volumes, unrecorded images and scratch directories of runs that are dead
""",
)
@options.config_option
@options.json_option
def command(config: Path | None, *, as_json: bool) -> None:
    """Remove what killed runs left in the engine and in the temporary directory.

    Only things with our label whose run is certainly dead, or older than any build may be; a living run's things and
    those of others are never touched.
    """
    from rebuilder.build.sweep import sweep  # noqa: PLC0415 - the engine's library is slow to load
    from rebuilder.cli import world  # noqa: PLC0415

    settings = options.settings_from(config)
    engine = world.open_engine(settings)
    swept = sweep(engine, world.prepared_of(settings, engine), roots=(settings.scratch_dir,))
    if as_json:
        say_json(swept)
        return
    say(
        f"removed {swept.containers} containers, {swept.volumes} volumes, {swept.images} images, "
        f"{swept.directories} directories"
    )
