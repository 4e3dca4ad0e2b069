"""One vendor library per file, no decisions."""
