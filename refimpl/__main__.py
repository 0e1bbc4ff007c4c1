"""`python -m refimpl` is the command line."""

from refimpl_cli.main import main

main(prog_name="refimpl")
