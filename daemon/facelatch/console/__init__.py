"""The console: a local web page for the people of a door, served by a process that asks the daemon as any client."""
