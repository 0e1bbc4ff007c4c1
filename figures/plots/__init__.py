"""The pictures of one's own runs: one file each, with a function `draw` from a run to a picture and its numbers."""

NAMES = (
    "losses", "rank", "sparsity", "information", "fooling", "singular-values", "weights", "examples", "security",
)  # fmt: skip
