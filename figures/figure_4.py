"""Figure 4: the fooling ratio of each attack for each defence of the CNN."""

from refimpl.attacks import PAPERS

from .base import FIGURES
from .curves import Curves, Panel, fooling

FIGURES.register("4")(
    Curves(
        "figure-4",
        __doc__,
        "cnn",
        "fooling ratio, %",
        [Panel(name.upper(), fooling(name)) for name in PAPERS],
        across=3,
    )
)
