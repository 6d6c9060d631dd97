"""What this machine lacks for verifying releases, and how to get it."""
