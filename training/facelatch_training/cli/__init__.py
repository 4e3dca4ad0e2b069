"""The command line `facelatch-train`: each command a thin shell around one module."""
