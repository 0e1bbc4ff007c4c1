"""Figure 5: effective rank and sparsity of the filters of the CNN for each defence."""

from .curves import Curves, Panel, rank, sparsity

PANELS = (
    *(Panel(f"r(W{i})", rank(i)) for i in (1, 2)),
    *(Panel(f"s(W{i})", sparsity(i)) for i in (1, 2)),
)
FIGURE = Curves("figure-5", "cnn", "", PANELS, across=2)
