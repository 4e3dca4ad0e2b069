"""Sources of frames, one vendor a file."""
