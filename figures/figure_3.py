"""Figure 3: the fooling ratio of each attack for each defence of the fully connected net."""

from refimpl.attacks import PAPERS
from refimpl.experiments.quantities import fooling

from .base import FIGURES
from .curves import Curves, Panel, per_cent

FIGURES.register("3")(
    Curves(
        "figure-3",
        __doc__,
        "fcnn",
        "fooling ratio, %",
        [Panel(name.upper(), per_cent(fooling(name))) for name in PAPERS],
        across=3,
    )
)
