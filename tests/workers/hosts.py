"""Several hosts on one machine: network namespaces around a switch, which is a namespace of its own.

Nothing of the machine's own network takes part: no address, route or packet filter of it is touched or asked. A host's
cable can be pulled and put back. Whatever runs on a host is killed when the context ends, and nothing of it stays.
"""

from __future__ import annotations

import ctypes
import os
import secrets
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

_NEW_NETWORK = 0x40000000
"""CLONE_NEWNET of setns(2)."""
_NETWORK = "10.77.0"


def ip(*words: str) -> str:
    """Run iproute2's program; return what it says."""
    return subprocess.run(["ip", *words], check=True, capture_output=True, text=True).stdout


@dataclass
class Hosts:
    """Hosts by name, each with one cable to the switch."""

    names: tuple[str, ...]
    prefix: str = field(default_factory=lambda: f"rebuilder-{secrets.token_hex(4)}")

    def address(self, host: str) -> str:
        """Tell a host's address."""
        return f"{_NETWORK}.{self.names.index(host) + 1}"

    def make(self) -> None:
        """Make the switch and the hosts."""
        switch = self._space("switch")
        ip("netns", "add", switch)
        ip("-n", switch, "link", "add", "bridge", "type", "bridge")
        ip("-n", switch, "link", "set", "bridge", "up")
        for name in self.names:
            space = self._space(name)
            ip("netns", "add", space)
            cable = ("type", "veth", "peer", "name", "cable", "netns", space)
            ip("-n", switch, "link", "add", name, *cable)
            ip("-n", switch, "link", "set", name, "master", "bridge", "up")
            ip("-n", space, "address", "add", f"{self.address(name)}/24", "dev", "cable")
            for device in ("lo", "cable"):
                ip("-n", space, "link", "set", device, "up")

    def remove(self) -> None:
        """Kill what still runs on the hosts, and remove them, as far as they were made."""
        for name in (*self.names, "switch"):
            space = self._space(name)
            with suppress(subprocess.CalledProcessError):
                for pid in ip("netns", "pids", space).split():
                    if int(pid) != os.getpid():
                        with suppress(ProcessLookupError):
                            os.kill(int(pid), signal.SIGKILL)
                ip("netns", "delete", space)

    def cut(self, host: str) -> None:
        """Pull a host's cable."""
        ip("-n", self._space("switch"), "link", "set", host, "down")

    def heal(self, host: str) -> None:
        """Put the cable back."""
        ip("-n", self._space("switch"), "link", "set", host, "up")

    @contextmanager
    def on(self, host: str) -> Iterator[None]:
        """Have this thread, and what it starts, on a host as long as the context lasts."""
        with Path("/proc/thread-self/ns/net").open("rb") as here:
            with Path("/run/netns", self._space(host)).open("rb") as there:
                _enter(there.fileno())
            try:
                yield
            finally:
                _enter(here.fileno())

    def _space(self, name: str) -> str:
        return f"{self.prefix}-{name}"


@contextmanager
def hosts(*names: str) -> Iterator[Hosts]:
    """Have hosts of these names as long as the context lasts."""
    made = Hosts(names)
    try:
        made.make()
        yield made
    finally:
        made.remove()


def _enter(descriptor: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, _NEW_NETWORK) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
