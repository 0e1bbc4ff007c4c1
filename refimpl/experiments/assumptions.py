"""How the paper is read where it is silent: each reading as settings of natural training and of what continues it."""

from dataclasses import dataclass, field
from typing import Any

from ..runs.presets import Settings

BATCH = 128
"""Of the fully connected net, over which a loss is summed instead of averaged."""

SUMMED = {"learning_rate": 0.001 * BATCH}
"""The gradient of a sum is that of the mean, `BATCH` times as long; the regularizers are not summed."""

ADAM = {"optimizer": "adam"}
HALF_CLEAN = {"adversarial_share": 0.5}


@dataclass(frozen=True)
class Reading:
    """Settings of natural training, of what continues it, of adversarial training besides; a factor of every lambda."""

    words: str
    source: dict[str, Any]
    tuned: dict[str, Any]
    adversarial: dict[str, Any] = field(default_factory=dict)
    lambdas: float = 1.0

    def of(self, method: Settings) -> Settings:
        """The settings of a method, which has all of `NATURAL`'s, so read."""
        scaled: Settings = {
            kind: {layer: lam * self.lambdas for layer, lam in method[kind].items()} for kind in ("l1", "nuclear")
        }
        scaled["joint"] = method["joint"] * self.lambdas
        return method | scaled | (self.adversarial if method["adversarial"] != "none" else {})


READINGS: dict[str, dict[str, Reading]] = {
    "fcnn": {
        "literal": Reading(
            "plain SGD, mean loss, until natural training first meets Table 1; whole adversarial batches",
            {"epochs": 240}, {"epochs": 60},
        ),
        "adam": Reading(
            "Adam at the same rate, natural training past its best; adversarial batches half clean",
            ADAM | {"epochs": 150}, ADAM | {"epochs": 40}, HALF_CLEAN,
        ),
        "half-clean": Reading(
            "as literal, adversarial batches half clean",
            {"epochs": 240}, {"epochs": 60}, HALF_CLEAN,
        ),
        "late": Reading(
            "as half-clean, natural training for thousands of epochs",
            {"epochs": 4000}, {"epochs": 60}, HALF_CLEAN,
        ),
        "summed": Reading(
            "plain SGD, loss summed over the batch, until natural training first meets Table 1",
            SUMMED | {"epochs": 5}, SUMMED | {"epochs": 10}, HALF_CLEAN, 1 / BATCH,
        ),
        "summed-late": Reading(
            "as summed, natural training past its best",
            SUMMED | {"epochs": 150}, SUMMED | {"epochs": 40}, HALF_CLEAN, 1 / BATCH,
        ),
        "adam-whole": Reading(
            "as adam, adversarial batches whole",
            ADAM | {"epochs": 150}, ADAM | {"epochs": 40},
        ),
        "adam-long": Reading(
            "as adam, tuned for as long as trained",
            ADAM | {"epochs": 150}, ADAM | {"epochs": 150}, HALF_CLEAN,
        ),
        "adam-lambda-0.1": Reading(
            "as adam, a tenth of every lambda",
            ADAM | {"epochs": 150}, ADAM | {"epochs": 40}, HALF_CLEAN, 0.1,
        ),
        "adam-lambda-0.3": Reading(
            "as adam, three tenths of every lambda",
            ADAM | {"epochs": 150}, ADAM | {"epochs": 40}, HALF_CLEAN, 0.3,
        ),
        "adam-lambda-10": Reading(
            "as adam, ten times every lambda",
            ADAM | {"epochs": 150}, ADAM | {"epochs": 40}, HALF_CLEAN, 10.0,
        ),
    },
    "cnn": {
        "literal": Reading(
            "plain SGD, mean loss, until natural training first meets Table 2; whole adversarial batches",
            {"epochs": 62}, {"epochs": 8},
        ),
        "half-clean": Reading(
            "as literal, adversarial batches half clean",
            {"epochs": 62}, {"epochs": 8}, HALF_CLEAN,
        ),
    },
}  # fmt: skip

JUDGED = {"fcnn": ("literal", "adam-long"), "cnn": ("literal", "half-clean")}
"""The literal reading and the one that fits best: what is run unless others are asked for, and what claims rest on."""
