"""What only the coordinator does: it alone writes what is owed."""
