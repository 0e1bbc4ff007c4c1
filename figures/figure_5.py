"""Figure 5: effective rank and sparsity of the filters of the CNN for each defence."""

from refimpl.experiments.quantities import rank, sparsity

from .base import FIGURES
from .curves import Curves, Panel

PANELS = (
    *(Panel(f"r(W{i})", rank(i)) for i in (1, 2)),
    *(Panel(f"s(W{i})", sparsity(i)) for i in (1, 2)),
)
FIGURES.register("5")(Curves("figure-5", __doc__, "cnn", "", PANELS, across=2))
