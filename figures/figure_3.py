"""Figure 3: the fooling ratio of each attack for each defence of the fully connected net."""

from refimpl.attacks import PAPERS

from .base import FIGURES
from .curves import Curves, Panel, fooling

FIGURES.register("3")(
    Curves(
        "figure-3",
        __doc__,
        "fcnn",
        "fooling ratio, %",
        [Panel(name.upper(), fooling(name)) for name in PAPERS],
        across=3,
    )
)
