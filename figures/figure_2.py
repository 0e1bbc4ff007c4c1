"""Figure 2: effective rank and sparsity of each layer, and its mutual information with the input, for each defence."""

from refimpl.experiments.quantities import information, rank, sparsity

from .base import FIGURES
from .curves import Curves, Panel, Row

PANELS = (
    *(Panel(f"r(W{i})", rank(i)) for i in range(1, 7)),
    *(Panel(f"s(W{i})", sparsity(i)) for i in range(1, 7)),
    *(Panel(f"I(x;t{i}), bits", information(i, "lower"), information(i, "upper")) for i in range(1, 6)),
)
SHOWN = (1, 2, 3)
"""The layers that the paper speaks of."""

BITS = {f"$I(x; t^{i})$": f"I(x;t{i}), bits" for i in SHOWN}
ROWS = (
    Row("effective rank", {f"$r(W^{i})$": f"r(W{i})" for i in SHOWN}),
    Row("effective sparsity", {f"$s(W^{i})$": f"s(W{i})" for i in SHOWN}, shared=False),
    Row("upper bound, bits", {f"{title}, upper bound": panel for title, panel in BITS.items()}, "high"),
    Row("lower bound, bits", {f"{title}, lower bound": panel for title, panel in BITS.items()}, "low"),
)
REMARKS = (
    "Bounds: the greatest of the upper and the least of the lower ones over seeds. The axes of s differ. "
    "Shown are the layers that the paper speaks of; the others are in the CSV file. "
)
FIGURES.register("2")(Curves("figure-2", __doc__, "fcnn", PANELS, ROWS, REMARKS))
