"""The command line of refimpl: one command a file, no mathematics."""
