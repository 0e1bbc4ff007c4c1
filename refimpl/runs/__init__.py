"""Runs: one method, one seed, one folder.

Read `config`, what is needed to do a run again, with `presets` and `toml`; `folder`, its files; `checkpoint`,
`manifest` and `results`, what is in them; `fit`, training to the last epoch; `trained`, a net to be attacked
and, with `measured`, measured.
"""
