"""The methods of the paper by name, as settings of a run: the rows of Table 1.

The regularizers act on W1 (Section 5). Where a row of the paper adversarially trains, it goes on from the natural net:
that is `train --method pgd --from RUN`.
"""

from typing import Any

Settings = dict[str, Any]

NATURAL: Settings = {"l1": {}, "nuclear": {}, "joint": 0.0, "adversarial": "none"}
"""What every method sets."""

METHODS: dict[str, dict[str, Settings]] = {
    "fcnn": {
        "natural": {},
        "fgsm": {"adversarial": "fgsm"},
        "pgd": {"adversarial": "pgd"},
        "l1-0.01": {"l1": {"W1": 0.01}},
        "nuclear-0.01": {"nuclear": {"W1": 0.01}},
        "l1-0.01-nuclear-0.01": {"l1": {"W1": 0.01}, "nuclear": {"W1": 0.01}},
        "l1-0.01-nuclear-0.03": {"l1": {"W1": 0.01}, "nuclear": {"W1": 0.03}},
    }
}
