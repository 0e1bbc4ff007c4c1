"""What regularizers share."""

from jaxtyping import Float

from ..backend import Array
from ..errors import UsageError

Scalar = Float[Array, ""]


def _check_threshold(t: float) -> None:
    if not t >= 0:
        raise UsageError(f"a threshold must be at least 0, got {t}")
