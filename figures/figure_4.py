"""Figure 4: the fooling ratio of each attack for each defence of the CNN."""

from refimpl.attacks.base import ATTACKS

from .curves import Curves, Panel, fooling

FIGURE = Curves(
    "figure-4", "cnn", "fooling ratio, %", [Panel(name.upper(), fooling(name)) for name in ATTACKS], across=3
)
