"""Runs: one method, one seed, one folder.

Read `config`, what is needed to do a run again, with `presets` and `toml`; `folder`, its files, whose contents are in
`schema`, with `checkpoint`, `manifest`, `results` and `usage`; `fit`, training to the last epoch, and `fit_stack`, that
of several runs at once, with `fast_twins` where they are installed; `trained`, a net to be attacked and, with
`measured`, measured. `train` is training from Python, `compare` puts runs beside each other, `sweep` trains many, `zoo`
has those on record, `zoo_entry` makes them.
"""
