"""`facelatch-lock`: the process that holds the lock's line, locked unless it has a lease. Standard library only."""
