"""Runs: one method, one seed, one folder.

Read `config`, what is needed to do a run again, with `presets` and `toml`; `folder`, its files; `checkpoint`,
`manifest` and `results`, what is in them; `fit`, training to the last epoch; `session`, a trained run to be looked at.
"""
