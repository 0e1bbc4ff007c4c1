from collections.abc import Callable, Iterable

from jaxtyping import Float

from ..backend import Array, namespace


def strongest(
    margin: Callable[[Array], Array], attempts: Iterable[Float[Array, "batch *shape"]]
) -> Float[Array, "batch *shape"]:
    """Of several attempts, for each example by itself the one that leaves the smallest margin.

    `margin` maps a batch to one number an example, negative where it is fooled. Chosen example by example, one
    more attempt never fools fewer (an average over the batch could).
    """
    remaining = iter(attempts)
    best = next(remaining)
    xp, smallest = namespace(best), None
    for x_adv in remaining:
        smallest = margin(best) if smallest is None else smallest
        m = margin(x_adv)
        better = m < smallest
        best = xp.where(xp.reshape(better, (-1, *(1 for _ in best.shape[1:]))), x_adv, best)
        smallest = xp.where(better, m, smallest)
    return best
