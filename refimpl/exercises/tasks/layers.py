"""Exercises: backward passes of the affine layer, activations, softmax with cross-entropy, max-pooling."""

import numpy as np
from jaxtyping import Float, Int

from ...layers import affine, cross_entropy, max_pool, relu, tanh
from ..exercise import Exercise, Gradient, Statement, enter


def tanh_dx(x: Float[np.ndarray, "batch n"], dy: Float[np.ndarray, "batch n"]) -> Float[np.ndarray, "batch n"]:
    r"""dx for $y = \tanh x$, where dy is the gradient of the loss by y.

    Eq. (1); lesson 1, backpropagation by hand.
    """
    y = np.tanh(x)
    return dy * (1 - y * y)


enter(
    Exercise(
        name="tanh",
        title="the backward pass of tanh",
        where="refimpl/layers/activations.py",
        solution=tanh_dx,
        inputs=lambda rng: (rng.normal(size=(3, 4)), rng.normal(size=(3, 4))),
        checks=(Gradient(lambda p, x, dy: dy * tanh(p)[0], lambda x, dy: x),),
        mistakes={
            "a sign: the derivative of tanh is never above 1": lambda x, dy: dy * (1 + np.tanh(x) ** 2),
            "a missing square: what is the derivative of tanh, in terms of its value?": lambda x, dy: (
                dy * (1 - np.tanh(x))
            ),
            "the chain rule: the derivative is not multiplied by dy": lambda x, dy: 1 - np.tanh(x) ** 2,
            "the square is that of the input x, not of the output y": lambda x, dy: dy * (1 - x * x),
        },
    )
)


def relu_dx(x: Float[np.ndarray, "batch n"], dy: Float[np.ndarray, "batch n"]) -> Float[np.ndarray, "batch n"]:
    r"""dx for $y = \max(x, 0)$, where dy is the gradient of the loss by y; at x = 0 the derivative is taken to be 0.

    Section 5; lesson 1.
    """
    return np.where(x > 0, dy, 0.0)


enter(
    Exercise(
        name="relu",
        title="the backward pass of relu",
        where="refimpl/layers/activations.py",
        solution=relu_dx,
        inputs=lambda rng: (rng.normal(size=(3, 4)), rng.normal(size=(3, 4))),
        checks=(
            Gradient(lambda p, x, dy: dy * relu(p)[0], lambda x, dy: x),
            Statement("dx is 0 where x is 0", lambda f, dx, x, dy: not np.any(f(np.zeros((1, 2)), np.ones((1, 2))))),
        ),
        mistakes={
            "the wrong gate: dy passes where x is positive, whatever the sign of dy": lambda x, dy: np.maximum(dy, 0),
            "the chain rule: dy is multiplied by the derivative, 0 or 1, not by the value": lambda x, dy: (
                dy * np.maximum(x, 0)
            ),
            "the chain rule: the derivative is not multiplied by dy": lambda x, dy: np.where(x > 0, 1.0, 0.0),
            "a sign: dy passes where x is positive, not where it is negative": lambda x, dy: np.where(x > 0, 0.0, dy),
        },
    )
)


def affine_dx(
    x: Float[np.ndarray, "batch n"], W: Float[np.ndarray, "m n"], dy: Float[np.ndarray, "batch m"]
) -> Float[np.ndarray, "batch n"]:
    r"""dx for $y = x W^\top + b$, where dy is the gradient of the loss by y; one row an example.

    Eq. (1); lesson 1. Begin with $y_{ij} = \sum_k W_{jk} x_{ik} + b_j$. In the check m = n, so that shapes
    hide no mistake.
    """
    return dy @ W


def affine_dW(
    x: Float[np.ndarray, "batch n"], W: Float[np.ndarray, "m n"], dy: Float[np.ndarray, "batch m"]
) -> Float[np.ndarray, "m n"]:
    r"""dW for $y = x W^\top + b$, where dy is the gradient of the loss by y; one row an example.

    Eq. (1); lesson 1. In the check m = n, so that shapes hide no mistake.
    """
    return dy.T @ x


def affine_db(
    x: Float[np.ndarray, "batch n"], W: Float[np.ndarray, "m n"], dy: Float[np.ndarray, "batch m"]
) -> Float[np.ndarray, "m"]:
    r"""db for $y = x W^\top + b$, where dy is the gradient of the loss by y; one row an example.

    Lesson 1. In the check the batch is as large as m, so that shapes hide no mistake.
    """
    return dy.sum(axis=0)


def _square(rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    return rng.normal(size=(4, 4)), rng.normal(size=(4, 4)), rng.normal(size=(4, 4))


enter(
    Exercise(
        name="affine-input",
        title="the backward pass of an affine layer, by its input",
        where="refimpl/layers/dense.py",
        solution=affine_dx,
        inputs=_square,
        checks=(Gradient(lambda p, x, W, dy: dy * affine(p, W, np.zeros(4))[0], lambda x, W, dy: x),),
        mistakes={
            "a transpose: forward it is W transposed, so backward it is ...": lambda x, W, dy: dy @ W.T,
            "a transpose, and the order of a product: one row an example": lambda x, W, dy: W.T @ dy,
            "that is the forward pass: the gradient by x starts from dy": lambda x, W, dy: x @ W.T,
            "a sum too many: an example's dx depends on its own row of dy alone": lambda x, W, dy: np.broadcast_to(
                (dy @ W).sum(axis=0), x.shape
            ),
        },
    )
)

enter(
    Exercise(
        name="affine-weights",
        title="the backward pass of an affine layer, by its weights",
        where="refimpl/layers/dense.py",
        solution=affine_dW,
        inputs=_square,
        checks=(Gradient(lambda p, x, W, dy: dy * affine(x, p, np.zeros(4))[0], lambda x, W, dy: W),),
        mistakes={
            "a transpose: dW has the shape of W, a row for each output": lambda x, W, dy: x.T @ dy,
            "a transpose: the sum goes over examples, which are the rows of dy": lambda x, W, dy: dy @ x,
            "a mean in place of a sum: the mean of the loss is in dy already": lambda x, W, dy: dy.T @ x / len(x),
            "a missing sum: that is dW of the first example alone": lambda x, W, dy: np.outer(dy[0], x[0]),
            "the order of sum and product: it is the sum of products, not the product of sums": lambda x, W, dy: (
                np.outer(dy.sum(axis=0), x.sum(axis=0))
            ),
        },
    )
)

enter(
    Exercise(
        name="affine-bias",
        title="the backward pass of an affine layer, by its bias",
        where="refimpl/layers/dense.py",
        solution=affine_db,
        inputs=_square,
        checks=(Gradient(lambda p, x, W, dy: dy * affine(x, W, p)[0], lambda x, W, dy: np.zeros(4)),),
        mistakes={
            "a missing sum: b is added to every example": lambda x, W, dy: dy,
            "the wrong axis: the sum goes over examples, not over outputs": lambda x, W, dy: dy.sum(axis=1),
            "a mean in place of a sum: the mean of the loss is in dy already": lambda x, W, dy: dy.mean(axis=0),
            "a sum too many: every output has a bias of its own": lambda x, W, dy: dy.sum(),
        },
    )
)


def cross_entropy_dz(
    z: Float[np.ndarray, "batch classes"], y: Int[np.ndarray, "batch"]
) -> Float[np.ndarray, "batch classes"]:
    r"""The gradient by the logits z of the mean cross-entropy of labels y, shape (batch, classes).

    $L = \frac1B \sum_i \left( \log \sum_j e^{z_{ij}} - z_{i y_i} \right)$, the loss of Section 5; lesson 2.
    """
    e = np.exp(z - z.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    t = np.eye(z.shape[1])[y]
    return (p - t) / len(z)


def _softmax(z: np.ndarray, axis: int = 1) -> np.ndarray:
    return np.exp(z) / np.exp(z).sum(axis=axis, keepdims=True)


enter(
    Exercise(
        name="cross-entropy",
        title="the gradient of softmax and cross-entropy together",
        where="refimpl/layers/loss.py",
        solution=cross_entropy_dz,
        inputs=lambda rng: (rng.normal(size=(4, 3)), np.array([2, 0, 1, 1])),
        checks=(
            Gradient(lambda p, z, y: cross_entropy(p, y)[0], lambda z, y: z),
            Statement("each row adds up to 0", lambda f, dz, z, y: np.allclose(dz.sum(axis=1), 0)),
            Statement(
                "finite for logits of 1000",
                lambda f, dz, z, y: np.isfinite(f(np.array([[1000.0, 0.0]]), np.array([0]))).all(),
            ),
        ),
        mistakes={
            "a sign: the loss falls when the logit of the label rises": lambda z, y: (np.eye(3)[y] - _softmax(z)) / 4,
            "a missing mean: the loss is the mean over the batch": lambda z, y: _softmax(z) - np.eye(3)[y],
            "a missing term: the second part of the loss depends on z, too": lambda z, y: _softmax(z) / 4,
            "the wrong axis: the sum of softmax is over classes, not over examples": lambda z, y: (
                (
                    np.exp(z - z.max(axis=1, keepdims=True)) / np.exp(z - z.max(axis=1, keepdims=True)).sum(axis=0)
                    - np.eye(3)[y]
                )
                / 4
            ),
            "the wrong axis: softmax is over classes, not over examples": lambda z, y: (
                (_softmax(z, axis=0) - np.eye(3)[y]) / 4
            ),
        },
    )
)


def max_pool_dx(x: Float[np.ndarray, "H W"], dy: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "H W"]:
    r"""dx for $y_{ij}$ the largest of the 2 x 2 window (2i, 2j) to (2i + 1, 2j + 1) of x; H = 2h, W = 2w.

    Of equal entries the first, row by row, is the largest. Section 5.
    """
    dx = np.zeros_like(x)
    for i, j in np.ndindex(dy.shape):
        window = x[2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
        a, b = np.unravel_index(np.argmax(window), (2, 2))
        dx[2 * i + a, 2 * j + b] = dy[i, j]
    return dx


def _spread(y: np.ndarray) -> np.ndarray:
    return np.kron(y, np.ones((2, 2)))


enter(
    Exercise(
        name="max-pool",
        title="the backward pass of max-pooling",
        where="refimpl/layers/pooling.py",
        solution=max_pool_dx,
        inputs=lambda rng: (rng.normal(size=(4, 6)), rng.normal(size=(2, 3))),
        checks=(
            Gradient(lambda p, x, dy: dy * max_pool(p[None])[0][0], lambda x, dy: x),
            Statement(
                "of equal entries the first alone gets dy",
                lambda f, dx, x, dy: np.array_equal(f(np.ones((2, 2)), np.ones((1, 1))), [[1, 0], [0, 0]]),
            ),
        ),
        mistakes={
            "only the largest entry of a window moves the output; the others get 0": lambda x, dy: _spread(dy),
            "that is the backward pass of the mean of a window": lambda x, dy: _spread(dy) / 4,
            "the chain rule: dy is multiplied by the derivative 1, not by the largest entry": lambda x, dy: (
                x * max_pool_dx(x, dy)
            ),
            "the chain rule: the derivative, 1 at the largest entry, is not multiplied by dy": lambda x, dy: (
                max_pool_dx(x, np.ones_like(dy))
            ),
            "a sign: that is the smallest entry of each window": lambda x, dy: max_pool_dx(-x, dy),
        },
    )
)
