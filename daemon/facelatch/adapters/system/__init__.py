"""The system around the process: clock, journal, service manager."""
