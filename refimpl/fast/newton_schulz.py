r"""The nuclear norm's gradient of a matrix that changes little from call to call, as in training; NumPy, float32.

The gradient is the polar factor $(W W^\top)^{-1/2} W$ (`regularizers.nuclear`). Newton and Schulz find the root Z of
$A^{-1}$ without an eigenproblem: $Z \leftarrow \frac12 Z (3 I - Z A Z)$ squares the residual $R = I - Z A Z$ where Z
and A commute. From the Z of the step before they do not quite: in the singular basis of W a step then multiplies
$R_{ij}$ by $-(s_i - s_j)^2 / (4 s_i s_j)$, up to $O(|R|^2)$, by 0.8 between the ends of a ratio of 5.
"""

import numpy as np
from jaxtyping import Float

from ..regularizers.nuclear import inverse_sqrt

CLOSE = 1e-3
"""|R| of the last iteration: it leaves about |R|^2, which in float32 is rounding, where Z and A commute."""
ACCURATE = 1e-5
"""What it may leave where they do not: the correction between singular values of the ratio k is (k + 1)^2 / 4k times as
large as it should be."""
FAR = 0.3
"""|R| from which the iteration is not trusted to come back; a rank-deficient W never goes below 1."""
WELL_CONDITIONED = 5.0
"""Largest ratio of singular values k: from k = 5.83 on the iteration does not converge."""
IN_RANGE = 1e-12, 1e12
"""Singular values whose squares, and their inverses, float32 can hold."""


class NewtonSchulzPolar:
    """`W` may be a view of a matrix that changes; call for its polar factor, in an array the next call overwrites.

    Where singular values are zero or far apart, by the eigenproblem, call by call.
    """

    def __init__(self, W: Float[np.ndarray, "m n"]) -> None:
        self.wide = W.shape[0] <= W.shape[1]
        self.W, self.W_T = (W, W.T) if self.wide else (W.T, W)
        self.polar = np.empty_like(W)
        m = len(self.W)
        self.A, self.R, self.product = (np.empty((m, m), W.dtype) for _ in range(3))
        self.identity = np.eye(m, dtype=W.dtype)
        self.forget()

    def forget(self) -> None:
        """Start afresh, so that what follows depends on nothing before."""
        self.Z: np.ndarray | None = None
        self.close = CLOSE

    def __call__(self, lam: float = 1.0) -> Float[np.ndarray, "m n"]:
        """`lam` times the polar factor."""
        if self.Z is not None and self._refined(self.Z):
            return self._times(lam * self.Z)
        s, root = inverse_sqrt(self.W)
        low, high = IN_RANGE
        steady = low < s[0] and s[-1] < min(high, WELL_CONDITIONED * s[0])
        self.Z = root.astype(self.W.dtype) if steady else None
        if steady:
            ratio = float(s[-1] / s[0])
            self.close = ACCURATE / max((ratio - 1) ** 2 / (4 * ratio), ACCURATE / CLOSE)
        self.polar[...] = lam * root @ self.W if self.wide else self.W_T @ (lam * root)
        return self.polar

    def _refined(self, Z: Float[np.ndarray, "m m"]) -> bool:
        """Newton and Schulz, in place. Symmetrised, for Z and A commute only in the limit."""
        np.dot(self.W, self.W_T, out=self.A)
        distance = np.inf
        while not distance < self.close:
            np.dot(Z, self.A, out=self.product)
            np.dot(self.product, Z, out=self.R)
            np.subtract(self.identity, self.R, out=self.R)
            before, distance = distance, float(np.vdot(self.R, self.R)) ** 0.5
            if not distance < min(FAR, before):
                return False
            np.dot(Z, self.R, out=self.product)
            np.add(self.product, self.product.T, out=self.R)
            np.multiply(self.R, 0.25, out=self.R)
            np.add(Z, self.R, out=Z)
        return True

    def _times(self, Z: Float[np.ndarray, "m m"]) -> Float[np.ndarray, "..."]:
        return np.dot(Z, self.W, out=self.polar) if self.wide else np.dot(self.W_T, Z, out=self.polar)
