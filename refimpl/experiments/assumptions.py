"""What is assumed where the paper is silent: settings of natural training, and of what continues it."""

from dataclasses import dataclass, field

from ..runs.presets import Table, merged

BATCH = 128
"""Of the fully connected net, over which a loss is summed instead of averaged."""

SUMMED: Table = {"optimizer": {"sgd": {"learning_rate": 0.001 * BATCH}}}
"""The gradient of a sum is that of the mean, `BATCH` times as long; the regularizers are not summed."""

ADAM: Table = {"optimizer": {"adam": {}}}
HALF_CLEAN: Table = {"adversarial_fraction": 0.5}


@dataclass(frozen=True)
class Assumption:
    """Settings of natural training, of what continues it, of adversarial training besides; a factor of every lambda."""

    words: str
    natural: Table
    tuned: Table
    adversarial: Table = field(default_factory=dict)
    lambdas: float = 1.0

    def applied(self, method: Table) -> Table:
        """The settings of training by a method of `METHODS`, which continues natural training."""
        scaled = {
            term: {name: lam * self.lambdas for name, lam in table.items()}
            for term, table in method.get("regularizer", {}).items()
        }
        return merged(self.tuned, method, {"regularizer": scaled}, self.adversarial if "attack" in method else {})


ASSUMPTIONS: dict[str, dict[str, Assumption]] = {
    "fcnn": {
        "literal": Assumption(
            "plain SGD, mean loss, until natural training first meets Table 1; whole adversarial batches",
            {"epochs": 240}, {"epochs": 60},
        ),
        "adam": Assumption(
            "Adam at the same rate, natural training past its best; adversarial batches half clean",
            ADAM | {"epochs": 150}, ADAM | {"epochs": 40}, HALF_CLEAN,
        ),
        "half-clean": Assumption(
            "as literal, adversarial batches half clean",
            {"epochs": 240}, {"epochs": 60}, HALF_CLEAN,
        ),
        "late": Assumption(
            "as half-clean, natural training for thousands of epochs",
            {"epochs": 4000}, {"epochs": 60}, HALF_CLEAN,
        ),
        "summed": Assumption(
            "plain SGD, loss summed over the batch, until natural training first meets Table 1",
            SUMMED | {"epochs": 5}, SUMMED | {"epochs": 10}, HALF_CLEAN, 1 / BATCH,
        ),
        "summed-late": Assumption(
            "as summed, natural training past its best",
            SUMMED | {"epochs": 150}, SUMMED | {"epochs": 40}, HALF_CLEAN, 1 / BATCH,
        ),
        "adam-whole": Assumption(
            "as adam, adversarial batches whole",
            ADAM | {"epochs": 150}, ADAM | {"epochs": 40},
        ),
        "adam-long": Assumption(
            "as adam, tuned for as long as trained",
            ADAM | {"epochs": 150}, ADAM | {"epochs": 150}, HALF_CLEAN,
        ),
        "adam-lambda-0.1": Assumption(
            "as adam, a tenth of every lambda",
            ADAM | {"epochs": 150}, ADAM | {"epochs": 40}, HALF_CLEAN, 0.1,
        ),
        "adam-lambda-0.3": Assumption(
            "as adam, three tenths of every lambda",
            ADAM | {"epochs": 150}, ADAM | {"epochs": 40}, HALF_CLEAN, 0.3,
        ),
        "adam-lambda-10": Assumption(
            "as adam, ten times every lambda",
            ADAM | {"epochs": 150}, ADAM | {"epochs": 40}, HALF_CLEAN, 10.0,
        ),
    },
    "cnn": {
        "literal": Assumption(
            "plain SGD, mean loss, until natural training first meets Table 2; whole adversarial batches",
            {"epochs": 62}, {"epochs": 8},
        ),
        "half-clean": Assumption(
            "as literal, adversarial batches half clean",
            {"epochs": 62}, {"epochs": 8}, HALF_CLEAN,
        ),
    },
}  # fmt: skip

JUDGED = {"fcnn": ("literal", "adam-long"), "cnn": ("literal", "half-clean")}
"""The literal assumption and the one that fits best: run unless others are asked for, and what claims rest on."""
