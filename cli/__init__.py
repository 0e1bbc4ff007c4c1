"""The command line of refimpl: one command a file, no mathematics.

Read `main`, the group of commands, then any command: `measure` is a short one. `derived` makes options of settings,
`configuration` those of `train`, `options` has those that commands share, `help` prints them. `console` is what people
see, `session` what a command needs of a run, `new_run` the run that is trained, `grid` and `executors` many of them.
"""
