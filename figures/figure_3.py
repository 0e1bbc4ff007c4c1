"""Figure 3: the fooling ratio of each attack for each defence of the fully connected net."""

from refimpl.attacks import PAPERS
from refimpl.experiments.quantities import fooling

from .base import FIGURES
from .curves import Curves, Panel, Row, per_cent

PANELS = [Panel(name.upper(), per_cent(fooling(name))) for name in PAPERS]
ROWS = [Row("fooling ratio, %", {f"attack: {name.upper()}": name.upper() for name in PAPERS}, limits=(0, 103))]
REMARKS = "The fooling ratio is the fraction of correctly classified inputs whose label changes. "
FIGURES.register("3")(Curves("figure-3", __doc__, "fcnn", PANELS, ROWS, REMARKS))
