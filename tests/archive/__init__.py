"""A small Debian archive, signed and complete, made by the tests: what it says is known, so it can decide pass or fail.

`FrozenArchive` makes archives, `make_standard` fills one with every shape that resolving must get right, `Loopback`
serves a directory over HTTP and can be told to misbehave.
"""
