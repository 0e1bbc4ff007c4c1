"""The methods of the paper by name, as settings of a run: the rows of Table 1 (fcnn) and of Table 2 (cnn).

The paper has no LeNet-5; of its methods those without a lambda are named.

The joint rows of Figures 2 and 3 stand in no table, and their lambda nowhere in the paper: 0.001 is a reading.

Of the fully connected net W1 is regularized, of the convolutional one W1 and W2 by l1 and W2 by the nuclear norm.
Where the paper trains adversarially it goes on from the natural net: `train --method pgd --from RUN`.
"""

from typing import Any

Settings = dict[str, Any]

NATURAL: Settings = {
    "l1": {},
    "nuclear": {},
    "joint": 0.0,
    "adversarial": "none",
    "weights_adversarial": 0.0,
    "margin_reach": 0.0,
    "row_column": 0.0,
}
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
        "joint-0.001": {"joint": 0.001},
        "l1-0.01-joint-0.001": {"l1": {"W1": 0.01}, "joint": 0.001},
    },
    "cnn": {
        "natural": {},
        "fgsm": {"adversarial": "fgsm"},
        "pgd": {"adversarial": "pgd"},
        "l1-0.01": {"l1": {"W1": 0.01, "W2": 0.01}},
        "l1-0.01-nuclear-0.05": {"l1": {"W1": 0.01, "W2": 0.01}, "nuclear": {"W2": 0.05}},
        "l1-0.01-nuclear-0.1": {"l1": {"W1": 0.01, "W2": 0.01}, "nuclear": {"W2": 0.1}},
        "l1-0.01-nuclear-0.5": {"l1": {"W1": 0.01, "W2": 0.01}, "nuclear": {"W2": 0.5}},
    },
    "lenet5": {
        "natural": {},
        "fgsm": {"adversarial": "fgsm"},
        "pgd": {"adversarial": "pgd"},
    },
}
