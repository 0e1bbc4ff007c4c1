r"""Sensitivity of a net without biases to a relative error of its input, bounded by condition numbers.

The sensitivity is $\frac{\|f(x+d) - f(x)\|}{\|f(x)\|} \frac{\|x\|}{\|d\|}$. For a layer $W = U S V^\top$,
$\|W d\| \le s_{max} \|d\|$ and $\|W t\| \ge s_{min} \|V^\top t\|$, where $\|V^\top t\|$ can be far below $\|t\|$.
An activation of slopes between a and 1 that fixes 0 has the condition number 1/a.
"""

from collections.abc import Callable
from typing import Any

from hypothesis import assume
from hypothesis import strategies as st

from ...backend import Array, namespace
from ...low_rank.factorization import clamp, product, retract
from ...measures.rank_sparsity import condition_number
from .statement import Claim, Example, Statement, at_most, equal, require
from .strategies import normal, sizes


@st.composite
def factored_nets(draw: Callable[..., Any], depth: st.SearchStrategy[int]) -> Example:
    """Layers U S V^T without biases, of any ranks, condition numbers at most 1 + tau; the slope of leaky relu; x, d."""
    widths = [draw(sizes)]
    layers, tau = [], draw(st.sampled_from([0.1, 0.5, 10.0]))
    for _ in range(draw(depth)):
        widths.append(draw(sizes))
        r = draw(st.integers(1, min(widths[-2:])))
        U, V = (retract(draw(normal((n, r)))) for n in widths[:-3:-1])
        layers.append([U, clamp(draw(normal((r, r))), tau)[0], V])
    x, d = draw(normal((widths[0],))), draw(normal((widths[0],)))
    slope = draw(st.sampled_from([1.0, 0.1, 0.01]))
    assume(_norm(_forward(layers, slope, x)[-1]) > 1e-6 * _norm(x))
    return Example(layers=layers, slope=slope, x=x, d=d, tau=tau)


def _norm(x: Array) -> float:
    xp = namespace(x)
    return float(xp.sqrt(xp.sum(x * x)))


def _forward(layers: list[list[Array]], slope: float, x: Array) -> list[Array]:
    """The input of each layer, and the output of the last, which has no activation."""
    ts = [x]
    for i, (U, S, V) in enumerate(layers, start=1):
        t = product(U, S, V) @ ts[-1]
        xp = namespace(t)
        ts.append(xp.where(t > 0, t, slope * t) if i < len(layers) else t)
    return ts


def _sensitivity(c: Example) -> float:
    before, after = (_forward(c.layers, c.slope, x)[-1] for x in (c.x, c.x + c.d))
    return _norm(after - before) / _norm(before) * _norm(c.x) / _norm(c.d)


def _bound(c: Example) -> float:
    bound = (1 / c.slope) ** (len(c.layers) - 1)
    for _, S, _ in c.layers:
        bound *= float(condition_number(S))
    return bound


def bounded_by_condition_numbers(c: Example) -> None:
    """The sensitivity of a net against the product of the condition numbers of its layers and activations."""
    sensitivity, bound = _sensitivity(c), _bound(c)
    require(at_most(sensitivity, bound), {"sensitivity": sensitivity, "product of condition numbers": bound})


def bounded_with_projected_inputs(c: Example) -> None:
    """The sensitivity of a net against that product times how much of each layer's input is in the span of its V."""
    xp, sensitivity, bound = namespace(c.x), _sensitivity(c), _bound(c)
    for (_, _, V), t in zip(c.layers, _forward(c.layers, c.slope, c.x), strict=False):
        bound *= _norm(t) / _norm(xp.matrix_transpose(V) @ t)
    require(at_most(sensitivity, bound), {"sensitivity": sensitivity, "bound": bound})


def attained(c: Example) -> None:
    """x along the singular vector of the smallest singular value, d along that of the largest."""
    ((_, S, V),) = c.layers
    xp = namespace(c.x)
    directions = xp.linalg.svd(S)[2] @ xp.matrix_transpose(V)
    worst = Example(layers=c.layers, slope=c.slope, x=directions[-1, :], d=directions[0, :])
    sensitivity, bound = _sensitivity(worst), _bound(worst)
    require(equal(sensitivity, bound), {"sensitivity": sensitivity, "condition number": bound})
    require(at_most(bound, 1 + c.tau), {"condition number": bound, "1 + tau": 1 + c.tau})


STATEMENTS = (
    Statement(
        "sensitivity-bound",
        "arXiv 2306.01485, as quoted in arXiv 2505.08022",
        Claim("the sensitivity of a net without biases is at most the product of the condition numbers of its layers"
              " and activations", factored_nets(st.integers(1, 3)), bounded_by_condition_numbers),
        Claim("without biases it is at most that times the product of |t| / |V^T t| over the layers' inputs t",
              factored_nets(st.integers(1, 3)), bounded_with_projected_inputs),
    ),
    Statement(
        "sensitivity-attained",
        "ours",
        Claim("one layer with inputs in the span of V attains its condition number, which is at most 1 + tau",
              factored_nets(st.just(1)), attained),
    ),
)  # fmt: skip
