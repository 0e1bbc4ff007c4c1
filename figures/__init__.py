"""The figures: one file each, drawn from numbers that are saved beside them.

Read `base`, what a figure is, and `drawing`, a figure with its numbers; then any figure: `theory_errors` is a short
one, `figure_1` to `figure_10` are the paper's, from `curves`, `weights` and `finished` runs. `pooling` takes seeds
together, `caption` says what numbers are of. `command`, `plot`, `report` and `audit_page` are what is called.
"""
