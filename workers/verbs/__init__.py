"""The farm's verbs of the command line. `rebuilder` finds them by the entry point `rebuilder.verbs` of this table."""

VERBS: dict[str, tuple[str, str]] = {
    "sync": ("workers.verbs.sync", "Import whole suites and owe a rebuild of everything that is due."),
    "submit": ("workers.verbs.submit", "Owe the farm a rebuild of single releases, now."),
    "work": ("workers.verbs.work", "Do what is owed on this machine alone, in every role."),
    "status": ("workers.verbs.status", "Show what the farm owes, who works, and what somebody must look at."),
    "jobs": ("workers.verbs.jobs", "List, show, retry, cancel, hold, release and reorder jobs."),
    "workers": ("workers.verbs.workers", "List workers, make enrolment tokens, revoke and drain."),
    "drain": ("workers.verbs.drain", "Give no worker anything new, before an upgrade; or again."),
    "suites": ("workers.verbs.suites", "Pause and resume suites, and limit how much of one runs at once."),
    "block": ("workers.verbs.block", "Say which packages are not to be rebuilt, and why."),
}
"""Verb -> (module holding `command`, its sentence in the overview). Imports nothing, so that `--help` stays quick."""
