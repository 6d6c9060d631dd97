"""One module a role: each turns a task that a claim names into a report, by the functions of the command line."""
