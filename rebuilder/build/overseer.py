"""A shell above a command that does what Podman does not: bound it by rlimits, and notice kills for want of memory.

Podman 4.3's compatible socket drops `Ulimits` in silence, and before 5.0 Podman never sets `OOMKilled`: a build that
goes on after such a kill would count as succeeded. The control group counts kills (`oom_kill` in memory.events on
version 2, in memory.oom_control on version 1), but it is gone when the container has ended. So the shell compares the
count of before with that of after, and answers with a status of its own. It starts nothing but the command and forks
for nothing else: it works when no process and no memory is left. A command that deceives it deceives about itself.
"""

from __future__ import annotations

from collections.abc import Iterable

KILLED = 128 + 30
"""Exit status that says so: that of a program ended by SIGPWR, which nobody sends in a container."""

_OPTIONS = {"core": ("-c",), "nofile": ("-n",), "nproc": ("-p", "-u")}
"""How dash names them, and how others do. A value that cannot be set is above a limit that holds already."""

_WITNESS = f"""\
count() {{
    kills=
    for file in /sys/fs/cgroup/memory.events /sys/fs/cgroup/memory/memory.oom_control; do
        if [ -r "$file" ]; then
            while read -r name number; do if [ "$name" = oom_kill ]; then kills=$kills,$number; fi; done <"$file"
        fi
    done
}}
count
before=$kills
"$@"
status=$?
count
if [ "$kills" != "$before" ]; then exit {KILLED}; fi
exit $status
"""


def overseen(command: tuple[str, ...], limits: Iterable[tuple[str, int, int]]) -> tuple[str, ...]:
    """Wrap a command: it gets these limits (name, soft, hard), and ends with KILLED if the kernel killed in it."""
    bounds = [
        " || ".join(f"ulimit {kind} {option} {value} 2>/dev/null" for option in _OPTIONS[name])
        for name, soft, hard in limits
        for kind, value in (("-S", soft), ("-H", hard))
    ]
    return ("/bin/sh", "-c", "\n".join([*bounds, _WITNESS]), "sh", *command)
