"""How workers get work: claim, heartbeat and report, over HTTP or in one process. Nothing else of the coordinator."""
