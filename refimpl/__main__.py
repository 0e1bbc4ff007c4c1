"""`python -m refimpl` is the command line."""

from importlib.metadata import entry_points

main = entry_points(group="console_scripts")["refimpl"].load()
main(prog_name="refimpl")
