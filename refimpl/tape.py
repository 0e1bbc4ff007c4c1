r"""Backpropagation, whole: each primitive returns its value and a `Pullback`; the tape is gone through backwards.

Let $y = f(x, \theta)$ be one step of a network and $L$ the loss at its end. Write $dy$ for
$\partial L / \partial y$. The chain rule says
$dx = (\partial y / \partial x)^\top dy$ and $d\theta = (\partial y / \partial \theta)^\top dy$: two linear maps of
$dy$, kept here as two closures. An attack calls only the first and never pays for the gradients of the weights.
"""

from collections.abc import Callable
from typing import NamedTuple

from jaxtyping import Float

from .backend import Array, Params


class Pullback(NamedTuple):
    """One closure for each thing a primitive can be differentiated by: cotangent in, cotangent out."""

    x: Callable[[Array], Array]
    params: Callable[[Array], tuple[Array, ...]] = lambda dy: ()


Tape = list[tuple[tuple[str, ...], Pullback]]
"""The primitives of one forward pass in order, each with the names of its parameters."""


def record(tape: Tape, primitive: tuple[Array, Pullback], *names: str) -> Array:
    """The value of a primitive, whose pullback is added to the tape; `names` are those of its parameters."""
    value, pullback = primitive
    tape.append((names, pullback))
    return value


def input_gradient(tape: Tape, dy: Float[Array, "..."]) -> Float[Array, "..."]:
    """Gradient with respect to the network's input, given `dy`, that with respect to its output.

    `dy` may carry leading axes of its own: k cotangents in a stack give k gradients in one pass.

    >>> import numpy as np
    >>> from refimpl.layers import affine
    >>> from refimpl.tape import gradients, input_gradient, record
    >>> x, W, b, tape = np.array([[1.0, 2.0]]), np.array([[3.0, 4.0]]), np.array([0.0]), []
    >>> y = record(tape, affine(x, W, b), "W", "b")
    >>> input_gradient(tape, np.array([[1.0]]))
    array([[3., 4.]])
    """
    for _, pull in reversed(tape):
        dy = pull.x(dy)
    return dy


def gradients(tape: Tape, dy: Float[Array, "..."]) -> Params:
    """Gradient with respect to every parameter, by name, in the order of the forward pass.

    >>> import numpy as np
    >>> from refimpl.layers import affine
    >>> from refimpl.tape import gradients, input_gradient, record
    >>> x, W, b, tape = np.array([[1.0, 2.0]]), np.array([[3.0, 4.0]]), np.array([0.0]), []
    >>> y = record(tape, affine(x, W, b), "W", "b")
    >>> gradients(tape, np.array([[1.0]]))
    {'W': array([[1., 2.]]), 'b': array([1.])}
    """
    grads: Params = {}
    first = next((i for i, (names, _) in enumerate(tape) if names), len(tape))
    for i in reversed(range(first, len(tape))):
        names, pull = tape[i]
        grads = dict(zip(names, pull.params(dy), strict=True)) | grads
        if i > first:
            dy = pull.x(dy)
    return grads
