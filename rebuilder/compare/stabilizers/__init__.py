"""Named, versioned passes, each of which removes one known nondeterminism and nothing else.

A pass answers for single differences, never for files: whatever it does not name stays. None of them may ever answer
for modes, owners, links, devices, capabilities, scripts, code, data, or a member that only one side has.
"""
