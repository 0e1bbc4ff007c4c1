"""Figure 5: effective rank and sparsity of the filters of the CNN for each defence."""

from refimpl.experiments.quantities import rank, sparsity

from .base import FIGURES
from .curves import Curves, Panel, Row

PANELS = (
    *(Panel(f"r(W{i})", rank(i)) for i in (1, 2)),
    *(Panel(f"s(W{i})", sparsity(i)) for i in (1, 2)),
)
ROWS = (
    Row("effective rank", {f"$r(W^{i})$": f"r(W{i})" for i in (1, 2)}),
    Row("effective sparsity", {f"$s(W^{i})$": f"s(W{i})" for i in (1, 2)}, shared=False),
)
FIGURES.register("5")(Curves("figure-5", __doc__, "cnn", PANELS, ROWS, "The axes of s differ. "))
