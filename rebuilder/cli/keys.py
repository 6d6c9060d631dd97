"""`rebuilder keys`: our own keys, and the keys of others that we trust."""

from __future__ import annotations

from pathlib import Path

import click

from rebuilder.cli import options
from rebuilder.cli.output import one_line, say, say_json
from rebuilder.cli.paths import output_file, regular_file
from rebuilder.errors import ConfigurationError, UsageError

ROLES = ("attestation", "builder", "comparer", "owner", "coordinator", "worker")
"""Those of `rebuilder.attest.keys.Role`, which is slow to load."""
ENROLLED = ("builder", "comparer", "worker")
"""Roles of others' keys that a signer may be told of."""
_MADE = ("attestation", "builder")
"""What a single machine needs."""


@click.group("keys", context_settings=options.CONTEXT)
def command() -> None:
    """Make, show, export, pin and enrol keys; `unpin` and `unenrol` take that back.

    Keys have roles: the `attestation` key signs statements and links, the `builder` key signs records of rebuilds, the
    `owner` key signs layouts. Attestation and builder keys are made on first use; `init` makes them beforehand.

    On a farm the `comparer` key signs comparisons, the `coordinator` key wakes workers, and with the `worker` key
    planner, signer and publisher ask for work. Each is made on its own machine; public halves are what travels.
    """


@command.command("init", cls=options.JsonVerb)
@click.option("--role", "roles", type=click.Choice(ROLES), multiple=True, default=_MADE, show_default=True)
@click.option(
    "--passphrase-file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Protect the keys by the passphrase in the first line of FILE (mode 0600).",
)
@options.config_option
@options.json_option
def init(roles: tuple[str, ...], passphrase_file: Path | None, config: Path | None, *, as_json: bool) -> None:
    """Make the keys that are not there yet. Existing keys are never replaced."""
    from rebuilder.attest import keystore  # noqa: PLC0415 - cryptography is slow to load
    from rebuilder.attest.keys import Role  # noqa: PLC0415

    settings = options.settings_from(config)
    passphrase = keystore.passphrase_from_file(passphrase_file) if passphrase_file else None
    kept = [role for role in dict.fromkeys(roles) if keystore.key_path(settings.state, Role(role)).exists()]
    if passphrase_file is not None and kept:
        raise UsageError(
            f"there already: {', '.join(kept)} key; {one_line(str(passphrase_file))} was not used",
            hint="existing keys are never replaced: leave --passphrase-file out, or name roles without a key by --role",
        )
    made = []
    for role in map(Role, roles):
        there = keystore.key_path(settings.state, role).exists()
        key = keystore.ensure_key(settings.state, role, passphrase=passphrase)
        if role is Role.BUILDER:
            keystore.enroll(settings.state, role, key)
        made.append({"role": role.value, "keyid": key.keyid, "made": not there})
    if as_json:
        say_json({"keys": made})
        return
    for each in made:
        say(f"{each['role']:<12} {each['keyid']}  {'made' if each['made'] else 'was there already'}")


@command.command("show", cls=options.JsonVerb)
@options.config_option
@options.json_option
def show(config: Path | None, *, as_json: bool) -> None:
    """Show the key ids of our keys, of the pinned and of the enrolled ones, and where the files are."""
    from rebuilder.attest import keystore  # noqa: PLC0415 - as above
    from rebuilder.attest.keys import Role  # noqa: PLC0415
    from rebuilder.cli.pins import pinned  # noqa: PLC0415

    state = options.settings_from(config).state
    paths = {role.value: keystore.key_path(state, role).with_suffix(".pub") for role in Role}
    own = {role: keystore.load_public_key(path).keyid for role, path in paths.items() if path.is_file()}
    others = {name: key.keyid for name, key in pinned(state).items()}
    members = [(role, key.keyid) for role in ENROLLED for key in keystore.enrolled(state, Role(role))]
    if as_json:
        listed = [{"role": role, "keyid": keyid} for role, keyid in members]
        say_json({"keys": own, "pinned": others, "enrolled": listed, "directory": str(state / "keys")})
        return
    for role, keyid in own.items():
        say(f"{role:<12} {keyid}  {paths[role]}")
    for name, keyid in others.items():
        say(f"{'pinned':<12} {keyid}  {name}")
    for role, keyid in members:
        if keyid not in own.values():
            say(f"{'enrolled':<12} {keyid}  {role}")
    if not own:
        say("no keys yet: they are made on first use, or now by `rebuilder keys init`")


@command.command("export", cls=options.JsonVerb)
@click.argument("role", type=click.Choice(ROLES), default="attestation")
@click.option("-o", "--out", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write to FILE.")
@options.config_option
@options.json_option
def export(role: str, out: Path | None, config: Path | None, *, as_json: bool) -> None:
    """Write the public key of ROLE in PEM, for others to pin or to put into a layout."""
    from rebuilder.attest import keystore  # noqa: PLC0415 - as above
    from rebuilder.attest.keys import Role  # noqa: PLC0415
    from rebuilder.world.files import write_atomically  # noqa: PLC0415

    path = keystore.key_path(options.settings_from(config).state, Role(role)).with_suffix(".pub")
    if not path.is_file():
        wanted = "" if role in _MADE else f" --role {role}"
        raise ConfigurationError(f"there is no {role} key yet", hint=f"`rebuilder keys init{wanted}` makes it")
    key = keystore.load_public_key(path)
    if out is not None:
        output_file(out, tuple(path.parent.iterdir()))
        write_atomically(out, key.pem.encode())
    elif as_json:
        say_json({"role": role, "keyid": key.keyid, "pem": key.pem})
    else:
        click.echo(key.pem, nl=False)


@command.command("pin", cls=options.JsonVerb)
@click.argument("name")
@click.argument("pem", type=click.Path(dir_okay=False, path_type=Path))
@options.config_option
@options.json_option
def pin_command(name: str, pem: Path, config: Path | None, *, as_json: bool) -> None:
    """Trust the public key in the file PEM, under NAME, when checking results.

    Get the file from its owner by a way that you trust, never from beside the results that it should vouch for.
    """
    from rebuilder.attest.keystore import load_public_key  # noqa: PLC0415 - as above
    from rebuilder.cli.pins import pin  # noqa: PLC0415

    key = load_public_key(regular_file(pem, "name the file that holds the public key, in PEM"))
    pin(options.settings_from(config).state, name, key)
    if as_json:
        say_json({"name": name, "keyid": key.keyid})
    else:
        say(f"{name} is pinned to {key.keyid}")


@command.command("unpin", cls=options.JsonVerb)
@click.argument("name")
@options.config_option
@options.json_option
def unpin_command(name: str, config: Path | None, *, as_json: bool) -> None:
    """Trust the key that is pinned under NAME no more: what it signed is refused from now on.

    To change over to a rebuilder's new key pin that one under another name: results of either are checked meanwhile.
    """
    from rebuilder.cli.pins import unpin  # noqa: PLC0415 - cryptography is slow to load

    key = unpin(options.settings_from(config).state, name)
    say_json({"name": name, "keyid": key.keyid}) if as_json else say(f"{name} is not pinned to {key.keyid} any more")


@command.command("enrol", cls=options.JsonVerb)
@click.argument("role", type=click.Choice(ENROLLED))
@click.argument("pem", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--domain", metavar="WORD", help="Fault domain of a builder: a quorum never counts two of one.")
@options.config_option
@options.json_option
def enrol(role: str, pem: Path, domain: str | None, config: Path | None, *, as_json: bool) -> None:
    """Have this machine's signer accept what the public key in the file PEM signs as a ROLE of a farm.

    A builder's records and a comparer's comparisons; `worker` is a planner, for whom nothing was run. The signer
    believes this and nobody else, so get the file by a way that you trust, not from the coordinator.
    """
    from rebuilder.attest import keystore  # noqa: PLC0415 - as above
    from rebuilder.attest.keys import Role  # noqa: PLC0415

    state = options.settings_from(config).state
    key = keystore.load_public_key(regular_file(pem, "name the file that holds the public key, in PEM"))
    if domain is not None and role != "builder":
        raise UsageError(f"--domain: a {role} has none; only builders are counted by fault domains")
    for other in ENROLLED:
        if other != role and key in keystore.enrolled(state, Role(other)):
            raise UsageError(
                f"key {key.keyid[:16]} is enrolled as a {other}: one key never has two roles",
                hint=f"name a key that was made for a {role}: `rebuilder keys init --role {role}`",
            )
    keystore.enroll(state, Role(role), key, domain=domain)
    if as_json:
        say_json({"role": role, "keyid": key.keyid, "domain": domain})
    else:
        say(f"enrolled {role} {key.keyid}{f' in {domain}' if domain else ''}")


@command.command("unenrol", cls=options.JsonVerb)
@click.argument("role", type=click.Choice(ENROLLED))
@click.argument("key")
@options.config_option
@options.json_option
def unenrol(role: str, key: str, config: Path | None, *, as_json: bool) -> None:
    """Have this machine's signer refuse what a key signs as a ROLE. KEY is its id, or the beginning of it.

    It holds from the next signature on. What was published stays: `rebuilder withdraw` what you no longer believe.
    """
    from rebuilder.attest import keystore  # noqa: PLC0415 - as above
    from rebuilder.attest.keys import Role  # noqa: PLC0415

    state = options.settings_from(config).state
    found = [each.keyid for each in keystore.enrolled(state, Role(role)) if key and each.keyid.startswith(key)]
    if len(found) != 1:
        raise UsageError(
            f"expected the key of one {role}, found {len(found)} that begin with {key[:64]!r}",
            hint="`rebuilder keys show` lists the enrolled ones",
        )
    keystore.dismiss(state, Role(role), found[0])
    say_json({"role": role, "keyid": found[0]}) if as_json else say(f"{role} {found[0]} is not enrolled any more")
