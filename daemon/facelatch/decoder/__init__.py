"""Pictures from outside: which files are read, and how they are decoded in a process that can do no harm."""
