"""The methods of the paper by name, as tables of settings: the rows of Table 1 (fcnn) and of Table 2 (cnn).

The paper has no LeNet-5; of its methods those without a lambda are named.

The joint rows of Figures 2 and 3 stand in no table, and their lambda nowhere in the paper: 0.001 is an assumption.

Of the fully connected net W1 is regularized, of the convolutional one W1 and W2 by l1 and W2 by the nuclear norm.
Where the paper trains adversarially it goes on from the natural net: `train --method pgd --from RUN`.
"""

from typing import Any

Table = dict[str, Any]

PAPERS = ("fcnn", "cnn")
"""The networks of the paper, whose experiments are reproduced."""

NATURAL: Table = {}


def _norms(l1: Table | None = None, nuclear: Table | None = None, joint: float = 0.0) -> Table:
    terms: Table = {"l1": l1, "nuclear": nuclear, "joint": {"lam": joint} if joint else None}
    return {"regularizer": {name: table for name, table in terms.items() if table}}


_W1 = {"W1": 0.01}
_BLOCKS = {"W1": 0.01, "W2": 0.01}

METHODS: dict[str, dict[str, Table]] = {
    "fcnn": {
        "natural": NATURAL,
        "fgsm": {"attack": {"fgsm": {}}},
        "pgd": {"attack": {"pgd": {}}},
        "l1-0.01": _norms(l1=_W1),
        "nuclear-0.01": _norms(nuclear=_W1),
        "l1-0.01-nuclear-0.01": _norms(l1=_W1, nuclear=_W1),
        "l1-0.01-nuclear-0.03": _norms(l1=_W1, nuclear={"W1": 0.03}),
        "joint-0.001": _norms(joint=0.001),
        "l1-0.01-joint-0.001": _norms(l1=_W1, joint=0.001),
    },
    "cnn": {
        "natural": NATURAL,
        "fgsm": {"attack": {"fgsm": {}}},
        "pgd": {"attack": {"pgd": {}}},
        "l1-0.01": _norms(l1=_BLOCKS),
        "l1-0.01-nuclear-0.05": _norms(l1=_BLOCKS, nuclear={"W2": 0.05}),
        "l1-0.01-nuclear-0.1": _norms(l1=_BLOCKS, nuclear={"W2": 0.1}),
        "l1-0.01-nuclear-0.5": _norms(l1=_BLOCKS, nuclear={"W2": 0.5}),
    },
    "lenet5": {
        "natural": NATURAL,
        "fgsm": {"attack": {"fgsm": {}}},
        "pgd": {"attack": {"pgd": {}}},
    },
}


def merged(*tables: Table) -> Table:
    """Tables laid over each other, the later over the earlier, nested tables likewise."""
    found: Table = {}
    for table in tables:
        for name, value in table.items():
            both = isinstance(value, dict) and isinstance(found.get(name), dict)
            found[name] = merged(found[name], value) if both else value
    return found
