"""The fooling ratio where inputs and weights are perturbed: one attack on all correctly classified inputs together."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import UInt8

from ..attacks import distance, verify
from ..attacks.input_weight_settings import JointAttack
from ..attacks.verify import verify_weights
from ..backend import Backend, Params, to_host
from ..errors import NumericalError
from ..networks.gradients import Network, logits
from .certificates import certified, check_dense
from .fooling import Outcome, correctly_classified, outcome_of


def joint_fooling(
    network: Network,
    params: Params,
    images: UInt8[np.ndarray, "examples height width"],
    labels: UInt8[np.ndarray, "examples"],
    attacks: Sequence[JointAttack],
    *,
    backend: Backend,
    dtype: str = "float32",
    chunk: int = 256,
    certify: bool = False,
    progress: Callable[[int], None] = lambda done: None,
) -> list[Outcome]:
    """Each attack's outcome on the test inputs the network gets right, as `evaluate.fooling` counts it.

    The weights found are one perturbation for all those inputs; `Outcome.weights` has them. Inputs that were wrong
    before are not attacked and stay counted as wrong, whatever the perturbed weights make of them. All inputs are on
    the device at once, activations of `chunk` examples at a time.

    With `certify` the summary counts as `n_certified` the inputs whose label the bound of `certificates` holds within
    the same radii. Raises `UsageError`, before any work, for layers the net does not have or where it has no bound,
    `NumericalError` where a result is not finite, is outside its budget, or a certified input was fooled.
    """
    radii = [attack.radii(params) for attack in attacks]
    if certify:
        check_dense(params)
    batches = list(correctly_classified(network, params, images, labels, backend, dtype, chunk))
    found = []
    for done, (attack, radius) in enumerate(zip(attacks, radii, strict=True), start=1):
        rows: list[tuple[np.ndarray, ...]] = []
        moved, sure = params, 0
        if batches:
            x, y = (backend.xp.concat(parts) for parts in zip(*((b.x, b.y) for b in batches), strict=True))
            x_adv, moved = attack.perturb(network, params, x, y, chunk)
        most = verify_weights(params, moved, radius)
        start = 0
        for batch in batches:
            part = slice(start, start := start + len(batch.index))
            label = to_host(backend.xp.argmax(logits(network, moved, x_adv[part, ...]), axis=-1))
            before, after, y_host = to_host(batch.x), to_host(x_adv[part, ...]), to_host(batch.y)
            verify(before, after, eps=attack.eps, clip=attack.clip)
            rows.append((batch.index, y_host, label, distance(before, after, "inf"), batch.zero_gradient, after))
            if certify:
                safe = to_host(certified(params, batch.x, batch.y, attack.eps, radius))
                if (safe & (label != y_host)).any():
                    raise NumericalError(f"{(safe & (label != y_host)).sum()} certified inputs were fooled by {attack}")
                sure += int(safe.sum())
        outcome = outcome_of(attack.name, vars(attack), rows, images)
        more = {"norm": "inf", "weights_moved": most} | ({"n_certified": sure} if certify else {})
        weights = {name: to_host(moved[name]) for name in radius}
        found.append(replace(outcome, summary=outcome.summary | more, weights=weights))
        progress(len(labels) * done // len(attacks))
    return found
