"""Figure 3: the fooling ratio of each attack for each defence of the fully connected net."""

from refimpl.attacks.base import ATTACKS

from .curves import Curves, Panel, fooling

FIGURE = Curves(
    "figure-3", "fcnn", "fooling ratio, %", [Panel(name.upper(), fooling(name)) for name in ATTACKS], across=3
)
