"""People on disk."""
