"""Recording of runs that survives a crash, and replay that gives back what was recorded, type by type."""
