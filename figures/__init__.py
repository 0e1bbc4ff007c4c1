"""The figures: one file each, drawn from numbers that are saved beside them."""
