"""Figure 4: the fooling ratio of each attack for each defence of the CNN."""

from refimpl.attacks import PAPERS
from refimpl.experiments.quantities import fooling

from .base import FIGURES
from .curves import Curves, Panel, per_cent

FIGURES.register("4")(
    Curves(
        "figure-4",
        __doc__,
        "cnn",
        "fooling ratio, %",
        [Panel(name.upper(), per_cent(fooling(name))) for name in PAPERS],
        across=3,
    )
)
