"""What is assumed where the paper is silent: settings of natural training, and of what continues it."""

from dataclasses import dataclass, field

from ..runs.presets import Table, merged
from ..settings import PIXELS

BATCH = 128
"""Of the fully connected net, over which a loss is summed instead of averaged."""

SUMMED: Table = {"optimizer": {"sgd": {"learning_rate": 0.001 * BATCH}}}
"""The gradient of a sum is that of the mean, `BATCH` times as long; the regularizers are not summed."""

ADAM: Table = {"optimizer": {"adam": {}}}
ADAM_CNN: Table = {"optimizer": {"adam": {"learning_rate": 0.001}}}
HALF_CLEAN: Table = {"adversarial_fraction": 0.5}
FIFTH_CLEAN: Table = {"adversarial_fraction": 0.8}
SAME: Table = {"network": {"cnn": {"padding": "same"}}}


@dataclass(frozen=True)
class Assumption:
    """Settings of natural training, of what continues it, of adversarial training besides; a factor of every lambda;
    and whether attacks keep pixels in [0, 1], those trained against as well as those that are measured."""

    words: str
    natural: Table
    tuned: Table
    adversarial: Table = field(default_factory=dict)
    lambdas: float = 1.0
    clipped: bool = False

    def first(self) -> Table:
        """The settings of natural training."""
        return merged(self.natural, self._monitored)

    def applied(self, method: Table) -> Table:
        """The settings of training by a method of `METHODS`, which continues natural training."""
        scaled = {
            term: {name: lam * self.lambdas for name, lam in table.items()}
            for term, table in method.get("regularizer", {}).items()
        }
        against: Table = {"attack": {name: {"clip": PIXELS} for name in method.get("attack", {}) if self.clipped}}
        adversarial = merged(self.adversarial, against) if "attack" in method else {}
        return merged(self.tuned, self._monitored, method, {"regularizer": scaled}, adversarial)

    @property
    def _monitored(self) -> Table:
        return {"monitor_clip": PIXELS} if self.clipped else {}


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
        "adam-clipped": Assumption(
            "Adam at the same rate, natural training past its best; adversarial batches half clean, pixels in [0, 1]",
            ADAM | {"epochs": 150}, ADAM | {"epochs": 110}, HALF_CLEAN, clipped=True,
        ),
        "adam-clipped-long": Assumption(
            "as adam-clipped, tuned for as long as trained",
            ADAM | {"epochs": 150}, ADAM | {"epochs": 150}, HALF_CLEAN, clipped=True,
        ),
        "adam-clipped-fifth": Assumption(
            "as adam-clipped, a fifth of an adversarial batch clean",
            ADAM | {"epochs": 150}, ADAM | {"epochs": 110}, FIFTH_CLEAN, clipped=True,
        ),
        "adam-clipped-whole": Assumption(
            "as adam-clipped, adversarial batches whole",
            ADAM | {"epochs": 150}, ADAM | {"epochs": 110}, clipped=True,
        ),
        "literal-clipped": Assumption(
            "as literal, pixels in [0, 1]",
            {"epochs": 240}, {"epochs": 60}, clipped=True,
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
        "half-clean-clipped": Assumption(
            "as half-clean, pixels in [0, 1]",
            {"epochs": 62}, {"epochs": 8}, HALF_CLEAN, clipped=True,
        ),
        "adam-clipped": Assumption(
            "Adam at 0.001 throughout, adversarial batches half clean, pixels in [0, 1]",
            ADAM_CNN | {"epochs": 12}, ADAM_CNN | {"epochs": 8}, HALF_CLEAN, clipped=True,
        ),
        "adam-clipped-long": Assumption(
            "as adam-clipped, tuned for as long as trained",
            ADAM_CNN | {"epochs": 12}, ADAM_CNN | {"epochs": 12}, HALF_CLEAN, clipped=True,
        ),
        "adam-clipped-fifth": Assumption(
            "as adam-clipped, a fifth of an adversarial batch clean",
            ADAM_CNN | {"epochs": 12}, ADAM_CNN | {"epochs": 8}, FIFTH_CLEAN, clipped=True,
        ),
        "adam-clipped-whole": Assumption(
            "as adam-clipped, adversarial batches whole",
            ADAM_CNN | {"epochs": 12}, ADAM_CNN | {"epochs": 8}, clipped=True,
        ),
        "adam-clipped-same": Assumption(
            "as adam-clipped, convolutions padded",
            SAME | ADAM_CNN | {"epochs": 12}, SAME | ADAM_CNN | {"epochs": 8}, HALF_CLEAN, clipped=True,
        ),
        "adam-tuned-clipped": Assumption(
            "natural training as literal, then as adam-clipped",
            {"epochs": 62}, ADAM_CNN | {"epochs": 8}, HALF_CLEAN, clipped=True,
        ),
    },
}  # fmt: skip

JUDGED = "literal", "adam-clipped"
"""The literal assumption and one that fits as well as any: run unless others are asked for, and what claims rest on."""
