"""The settings of a farm on this machine: .state/farm/settings, which every role mounts and can only read.

`rebuilder.toml` there is written once, with the archives that this machine would use (those of its own settings, else
of its apt), and is the operator's from then on. Containers have no apt configuration, and no address is in this tree.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from rebuilder.config import Archive, load_settings
from rebuilder.origins.debian.mirrors import configured_archives

HEAD = """\
# Settings of the farm's roles (docs/CONFIGURATION.md has every key). Written once by `make up`, with the archives that
# this machine used that day; yours from then on: restart the roles after a change (`make up`).
"""
_PROXIES = ("http_proxy", "https_proxy", "no_proxy")


class SettingsError(Exception):
    """The machine's settings are of no use in a container; the message says what to do."""


def prepare(directory: Path) -> None:
    """Write the settings unless they are there; raise SettingsError for archives that no container reaches."""
    target = directory / "rebuilder.toml"
    if target.exists():
        return
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    archives = configured_archives(load_settings().debian)
    for archive in archives:
        _refuse_unreachable(archive, target)
    lines = [HEAD]
    for number, archive in enumerate(archives):
        lines += ["[[debian.archives]]", *_entry(archive, directory, number), ""]
    target.write_text("\n".join(lines))
    target.chmod(0o600)


def proxies(words: Mapping[str, str]) -> dict[str, str]:
    """Find by which proxies this machine reaches its archives: the environment says it, else apt's configuration."""
    found = {name: words.get(name) or words.get(name.upper()) or "" for name in _PROXIES}
    for name, key in (("http_proxy", "Acquire::http::Proxy"), ("https_proxy", "Acquire::https::Proxy")):
        said = found[name] or _apt(key)
        found[name] = "" if said == "DIRECT" else said
    return found


def _entry(archive: Archive, directory: Path, number: int) -> list[str]:
    lines = [
        f"label = {json.dumps(archive.label)}",
        f"uri = {json.dumps(archive.uri)}",
        f"suites = {json.dumps(archive.suites)}",
        f"components = {json.dumps(archive.components)}",
    ]
    names = []
    for keyring in archive.keyrings:
        name = f"{number}-{keyring.name}"
        shutil.copyfile(keyring, directory / name)
        names.append(name)
    return [*lines, f"keyrings = {json.dumps(names)}"] if names else lines


def _refuse_unreachable(archive: Archive, target: Path) -> None:
    """Refuse what works on this machine alone. A name that is not found now may be found later."""
    parts = urlsplit(archive.uri)
    hint = f"put an archive that they reach into {_shown(target)}, as [[debian.archives]] of docs/CONFIGURATION.md"
    if parts.scheme == "file":
        raise SettingsError(f"the archive {archive.label} is a directory of this machine, not of containers\n  {hint}")
    try:
        found = socket.getaddrinfo(parts.hostname, parts.port or parts.scheme, type=socket.SOCK_STREAM)
    except OSError:
        return
    if any(ip_address(str(each[4][0]).partition("%")[0]).is_loopback for each in found):
        raise SettingsError(
            f"the archive {archive.label} is at a loopback address, which means something else in a container\n  {hint}"
        )


def _shown(path: Path) -> str:
    return os.path.relpath(path)


def _apt(key: str) -> str:
    words = ["apt-config", "shell", "VALUE", key]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=30)
    except OSError:
        return ""
    return done.stdout.strip().removeprefix("VALUE='").removesuffix("'")
