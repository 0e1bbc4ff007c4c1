"""The cross-entropy of `layers.loss` with every array allocated once, one example a column."""

from typing import Any

import numpy as np
from jaxtyping import Float


class ColumnCrossEntropy:
    """`loss.cross_entropy` line by line, of logits `z` to a gradient `dz`, of one model or of each in a stack.

    `e` is an array of the same shape to work in. What is called overwrites all three.
    """

    def __init__(
        self,
        z: Float[np.ndarray, "*models classes batch"],
        dz: Float[np.ndarray, "*models classes batch"],
        e: Float[np.ndarray, "*models classes batch"],
    ) -> None:
        self.z, self.dz, self.e = z, dz, e
        self.ones = np.ones(z.shape[-1], z.dtype)

    def value_and_gradient(self, t: Float[np.ndarray, "*models classes batch"], weight: float) -> Any:
        """The mean cross-entropy, of each model; its gradient, each example counted `weight` times, goes to `dz`."""
        total = self._exponentials()
        of_label = np.multiply(self.z, t, out=self.dz)
        losses = np.log(total) - np.add.reduce(of_label, axis=-2, keepdims=True)
        self._gradient(t, total / weight)
        return losses[..., 0, :] @ self.ones / len(self.ones)

    def gradient(self, t: Float[np.ndarray, "*models classes batch"]) -> None:
        """The gradient alone, each example counted once."""
        self._gradient(t, self._exponentials())

    def _exponentials(self) -> Float[np.ndarray, "*models 1 batch"]:
        """Less the largest, the logits; their exponentials, to `e`, and the sums of these."""
        np.subtract(self.z, np.maximum.reduce(self.z, axis=-2, keepdims=True), out=self.z)
        np.exp(self.z, out=self.e)
        return np.add.reduce(self.e, axis=-2, keepdims=True)

    def _gradient(
        self, t: Float[np.ndarray, "*models classes batch"], total: Float[np.ndarray, "*models 1 batch"]
    ) -> None:
        z, dz, e = self.z, self.dz, self.e
        np.multiply(e, t, out=z)
        np.subtract(e, z, out=z)  # e (1 − t), exactly
        np.multiply(t, np.add.reduce(z, axis=-2, keepdims=True), out=dz)
        np.subtract(z, dz, out=dz)
        np.divide(dz, total, out=dz)
