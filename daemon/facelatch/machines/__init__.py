"""One pure machine a file: (state, input, now) -> state. The table in each docstring is its specification."""
