"""Readers of containers: bounded, by our own hand, nothing is ever written to disk under a member's own name.

Whatever the bytes are, a reader returns an `Archive` or raises HostileInput (or StorageFailure when the scratch disk is
full). Names, links, devices and modes are data here; nobody acts on them.
"""
