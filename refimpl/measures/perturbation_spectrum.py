"""Perturbations as matrices: where in the spectrum of an image they lie, and budgets of equal nuclear norm."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from ..attacks.base import InputAttack
from ..attacks.lora_pgd import LoraPGD
from ..attacks.pgd_l2 import PGDL2
from ..errors import UsageError
from ..layers.images import scale
from .fooling import AttackResult
from .rank_sparsity import effective_rank


def describe(images: UInt8[np.ndarray, "examples *shape"], result: AttackResult) -> dict[str, Any]:
    """The perturbations as matrices: nuclear norm, effective rank, `spectral_fraction`; empty if nothing moved."""
    if not result.distance.any():
        return {}
    eta = perturbations(images, result)
    return {
        "nuclear_norm": nuclear_norm(eta),
        "perturbation_rank": mean_rank(eta),
        "spectral_fraction": spectral_fraction(images, result).tolist(),
    }


def perturbations(images: UInt8[np.ndarray, "examples *shape"], result: AttackResult) -> Float[np.ndarray, "n h w"]:
    """What was added to each attacked image, float64."""
    clean = scale(images[result.index], result.x_adv.dtype)
    eta = result.x_adv.astype(np.float64) - clean.astype(np.float64)
    return np.asarray(eta.reshape(-1, *images.shape[1:]))


def nuclear_norm(eta: Float[np.ndarray, "n h w"]) -> float:
    """The mean nuclear norm."""
    return float(np.linalg.svd(eta, compute_uv=False).sum(axis=-1).mean())


def mean_rank(eta: Float[np.ndarray, "n h w"]) -> float:
    """The mean effective rank of those that are not zero."""
    return float(np.nanmean(effective_rank(eta)))


def spectral_fraction(images: UInt8[np.ndarray, "examples *shape"], result: AttackResult) -> Float[np.ndarray, "rank"]:
    r"""How an attack changes the i-th singular value of an image, relatively, as a fraction of all such changes.

    The mean over images of $|\sigma_i(x') - \sigma_i(x)| / \sigma_i(x)$, divided by its sum over i (Savostianova,
    Zangrando and Tudisco 2024, their Figure 1). Images have black borders, so that some $\sigma_i(x)$ vanish: those
    below 1e-6 of the largest are left out, an assumption.
    """
    clean = np.linalg.svd(images[result.index] / 255.0, compute_uv=False)
    adversarial = np.linalg.svd(result.x_adv.reshape(-1, *images.shape[1:]).astype(np.float64), compute_uv=False)
    counts = clean > 1e-6 * clean[:, :1]
    change = np.where(counts, np.abs(adversarial - clean) / np.where(counts, clean, 1.0), 0.0)
    mean = change.sum(axis=0) / np.maximum(counts.sum(axis=0), 1)
    return np.asarray(mean / mean.sum())


def matched(
    attack: LoraPGD,
    images: UInt8[np.ndarray, "examples *shape"],
    evaluate: Callable[[list[InputAttack]], list[AttackResult]],
) -> LoraPGD:
    r"""`attack` with the budget at which its mean nuclear norm is that of PGD-$\ell_2$ at the budget given.

    $\epsilon' = \epsilon\,N_{PGD} / N$, with N the mean nuclear norm over the images attacked. The budget stays one of
    the $\ell_2$ norm, in which a nuclear norm is linear. Raises `UsageError` where nothing was moved.
    """
    full = PGDL2(eps=attack.eps, steps=attack.steps, clip=attack.clip)
    norms = [nuclear_norm(perturbations(images, result)) for result in evaluate([full, attack])]
    if not norms[1] > 0:
        raise UsageError(f"{attack} moves no image: it has no nuclear norm to be matched")
    return replace(attack, eps=attack.eps * norms[0] / norms[1])
