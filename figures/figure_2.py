"""Figure 2: effective rank and sparsity of each layer, and its mutual information with the input, for each defence."""

from refimpl.experiments.quantities import information, rank, sparsity

from .base import FIGURES
from .curves import Curves, Panel

PANELS = (
    *(Panel(f"r(W{i})", rank(i)) for i in range(1, 7)),
    *(Panel(f"s(W{i})", sparsity(i)) for i in range(1, 7)),
    *(Panel(f"I(x;t{i}), bits", information(i, "lower"), information(i, "upper")) for i in range(1, 6)),
)
FIGURES.register("2")(Curves("figure-2", __doc__, "fcnn", "", PANELS, across=6))
