"""Exercises: the step of FGSM, the projection of PGD, the choice of GNM."""

import numpy as np
from jaxtyping import Float, Int

from ...attacks.ball import bounds, project
from ..exercise import Equals, Exercise, Statement, enter


def fgsm(
    x: Float[np.ndarray, "batch n"], gradient: Float[np.ndarray, "batch n"], eps: float
) -> Float[np.ndarray, "batch n"]:
    r"""The fast gradient sign method: the point within eps of x in every pixel that raises the loss most.

    To first order, that is; `gradient` is the gradient of the loss by x, and pixels are not clipped. Section 3;
    lesson 4.
    """
    return x + eps * np.sign(gradient)


enter(
    Exercise(
        name="fgsm",
        title="the step of FGSM",
        where="refimpl/attacks/fgsm.py",
        solution=fgsm,
        inputs=lambda rng: (rng.uniform(size=(3, 5)), rng.normal(size=(3, 5)), 0.1),
        checks=(
            Statement(
                "no pixel moves by more than eps",
                lambda f, x_adv, x, gradient, eps: np.abs(x_adv - x).max() <= eps * (1 + 1e-9),
            ),
            Equals(
                "the solution of the linear problem, pixel by pixel",
                lambda x, gradient, eps: np.where(gradient * eps > gradient * -eps, x + eps, x - eps),
            ),
            Statement(
                "the linearised loss rises by eps |gradient|_1, Hölder's bound",
                lambda f, x_adv, x, gradient, eps: np.isclose(
                    np.sum(gradient * (x_adv - x)), eps * np.abs(gradient).sum()
                ),
            ),
            Statement(
                "a pixel without gradient stays",
                lambda f, x_adv, x, gradient, eps: np.array_equal(f(x, np.zeros_like(x), eps), x),
            ),
        ),
        mistakes={
            "a sign: an attack raises the loss, training lowers it": lambda x, g, eps: x - eps * np.sign(g),
            "a missing sign function: every pixel may use all of eps, however small its gradient": lambda x, g, eps: (
                x + eps * g
            ),
            "another norm: that is the step in the l2 ball, and this one is l_inf": lambda x, g, eps: (
                x + eps * g / np.linalg.norm(g, axis=1, keepdims=True)
            ),
            "the perturbation alone: add it to x": lambda x, g, eps: eps * np.sign(g),
            "a missing eps: the step has length eps, not 1": lambda x, g, eps: x + np.sign(g),
        },
    )
)


def projection(
    x_adv: Float[np.ndarray, "batch n"], x: Float[np.ndarray, "batch n"], eps: float
) -> Float[np.ndarray, "batch n"]:
    r"""The projection of PGD: the point nearest to `x_adv` within eps of x in every pixel, and in [0, 1].

    Lesson 4. The pixels of x are in [0, 1].
    """
    return np.clip(np.clip(x_adv, x - eps, x + eps), 0, 1)


def _nearest(f: object, found: np.ndarray, x_adv: np.ndarray, x: np.ndarray, eps: float) -> bool:
    rng = np.random.default_rng(1)
    lower, upper = np.maximum(x - eps, 0), np.minimum(x + eps, 1)
    others = rng.uniform(lower, upper, (200, *x.shape))
    return bool((np.abs(found - x_adv) <= np.abs(others - x_adv).min(axis=0)).all())


enter(
    Exercise(
        name="pgd-projection",
        title="the projection of PGD",
        where="refimpl/attacks/ball.py",
        solution=projection,
        inputs=lambda rng: (rng.uniform(-0.5, 1.5, (6, 8)), rng.uniform(size=(6, 8)), 0.2),
        checks=(
            Equals("refimpl.attacks.ball", lambda x_adv, x, eps: project(x_adv, *bounds(x, eps, (0.0, 1.0)))),
            Statement("no other of 200 points of the set is nearer, in any pixel", _nearest),
        ),
        mistakes={
            "a missing constraint: the ball of radius eps around x": lambda x_adv, x, eps: np.clip(x_adv, 0, 1),
            "a missing constraint: pixels in [0, 1]": lambda x_adv, x, eps: np.clip(x_adv, x - eps, x + eps),
            "the ball is around x, not around 0": lambda x_adv, x, eps: np.clip(np.clip(x_adv, -eps, eps), 0, 1),
            "the perturbation is clipped, and x is not added": lambda x_adv, x, eps: np.clip(
                np.clip(x_adv - x, -eps, eps), 0, 1
            ),
            "another norm: eps bounds each pixel, not the length of the perturbation": lambda x_adv, x, eps: np.clip(
                x + (x_adv - x) * np.minimum(1, eps / np.linalg.norm(x_adv - x, axis=1, keepdims=True)), 0, 1
            ),
        },
    )
)


def gnm_choice(
    M: Float[np.ndarray, "batch others"], dM: Float[np.ndarray, "batch others n"], h: float
) -> Int[np.ndarray, "batch"]:
    r"""The class that a step of GNM aims at: the one whose margin a step of at most h in every pixel makes least.

    $M_l = z_k - z_l$ are the margins of the clean class k, dM their gradients by the input; to first order. The result
    is the index l for each example, int64. Section 2; lesson 4.
    """
    return np.argmin(M - h * np.abs(dM).sum(axis=2), axis=1)


def _by_steps(M: np.ndarray, dM: np.ndarray, h: float) -> np.ndarray:
    """Every class tried: its best step, and the margin after it."""
    steps = -h * np.sign(dM)
    return np.array(
        [np.argmin([m + g @ s for m, g, s in zip(*one, strict=True)]) for one in zip(M, dM, steps, strict=True)]
    )


enter(
    Exercise(
        name="gnm-choice",
        title="the class that GNM aims at",
        where="refimpl/attacks/gnm.py",
        solution=gnm_choice,
        inputs=lambda rng: (
            rng.uniform(0, 1, (40, 5)),
            rng.normal(size=(40, 5, 6)) * rng.uniform(0, 2, (40, 5, 1)) * (rng.uniform(size=(40, 5, 6)) < 0.5),
            0.2,
        ),
        checks=(Equals("every class tried with its best step", _by_steps),),
        mistakes={
            "a missing term: how far a step can lower a margin depends on its gradient": lambda M, dM, h: M.argmin(
                axis=1
            ),
            "a missing term: a large margin is harder to lower": lambda M, dM, h: np.abs(dM).sum(axis=2).argmax(axis=1),
            "a sign: the step lowers the margin": lambda M, dM, h: (M + h * np.abs(dM).sum(axis=2)).argmin(axis=1),
            "the wrong norm: the dual of l_inf is l1, not l2": lambda M, dM, h: (
                M - h * np.linalg.norm(dM, axis=2)
            ).argmin(axis=1),
            "the wrong norm: the dual of l_inf is l1, not l_inf": lambda M, dM, h: (
                M - h * np.abs(dM).max(axis=2)
            ).argmin(axis=1),
            "absolute values are missing: entries of a gradient do not cancel, each pixel has a step of its own": (
                lambda M, dM, h: (M - h * np.abs(dM.sum(axis=2))).argmin(axis=1)
            ),
            "the least margin is wanted, not the greatest": lambda M, dM, h: (M - h * np.abs(dM).sum(axis=2)).argmax(
                axis=1
            ),
        },
    )
)
