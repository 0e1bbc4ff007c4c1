"""The paper's statements get the verdicts we expect; and they would not, were something broken."""

import math
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from backends import NUMPY
from hypothesis import settings
from hypothesis import strategies as st

from refimpl.attacks.lora_pgd import Factors
from refimpl.errors import NumericalError, UsageError
from refimpl.regularizers.l1 import soft_threshold
from refimpl.tape import Pullback
from refimpl.theory import gradcheck as derivatives
from refimpl.theory.statements import (
    CORRECTED,
    HOLDS,
    REFUTED,
    STATEMENTS,
    Claim,
    Statement,
    bounds,
    convolution,
    judge,
    linear,
    measures,
    named,
    sensitivity,
    theorem,
)
from refimpl.theory.statements.statement import Case, require
from refimpl.theory.statements.verdict import Verdict

EXAMPLES = max(settings.default.max_examples, 600)  # fewer miss a counterexample now and then
ENTROPY = None if os.environ.get("HYPOTHESIS_PROFILE") == "thorough" else 0
ROOT = Path(__file__).parent.parent
BY_NAME = {statement.name: statement for statement in STATEMENTS}


@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda statement: statement.name)
def test_the_verdict_is_the_expected_one(statement):
    """What is false is tried again, twice at most, where no counterexample was found: now and then one is overlooked.

    Which search overlooks one depends on more than its seed: hypothesis also draws constants of the modules loaded.
    """
    verdict = judge(statement, NUMPY, EXAMPLES, ENTROPY)
    for entropy in (1, 2):
        if statement.correction and verdict.verdict == HOLDS:
            verdict = judge(statement, NUMPY, EXAMPLES, entropy)
    assert verdict.as_expected, (verdict.verdict, verdict.counterexample, verdict.measured)


@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda statement: statement.name)
def test_nothing_is_refuted_that_holds_on_any_backend(statement, be):
    """In float64 everywhere; a claim that is false as printed may not be caught in so few examples."""
    claim = statement.correction or statement.claim
    verdict = judge(Statement(statement.name, statement.location, claim), be.backend, 10)
    assert verdict.verdict == HOLDS, verdict.measured


def test_the_counterexample_of_the_proof_is_as_small_as_can_be():
    verdict = judge(BY_NAME["theorem-1-proof-premise"], NUMPY, 2000)
    w, V, shown = verdict.counterexample["w"], verdict.counterexample["V"], verdict.measured
    assert np.count_nonzero(w) == 1
    Qw = V @ (V.T @ w)
    assert shown["s(Qw)"] >= shown["s(w)"] == 1
    assert shown["|Qw|_1"] == pytest.approx(np.abs(Qw).sum())
    assert shown["|Qw|_1"] > shown["|w|_1"]


def test_names_may_be_beginnings_and_must_fit():
    assert [s.name for s in named(STATEMENTS, ("remark-1", "eq-2"))] == ["remark-1", "eq-2-bounds"]
    assert named(STATEMENTS, ()) == list(STATEMENTS)
    with pytest.raises(UsageError, match="no statement is called 'theorem-2'"):
        named(STATEMENTS, ("remark-1", "theorem-2"))


def test_the_readme_names_statements_where_they_are():
    table = (ROOT / "README.md").read_text().split("## What the paper says")[1].split("## ")[0]
    rows = re.findall(r"\[(`[^\]]*`)\]\((refimpl/[^)]*)\) \|", table)
    assert len(rows) >= 10
    for names, path in rows:
        for name in re.findall(r"`([^`]*)`", names):
            assert name in BY_NAME
            assert f'"{name}"' in (ROOT / path).read_text()


def at_least_ten(c: Case) -> None:
    require(c.n >= 10, {"n": c.n})


def test_verdicts_of_a_true_a_false_and_a_mended_claim():
    numbers = st.builds(Case, n=st.integers(0, 100))
    everything, large = Claim("", numbers, lambda c: None), Claim("", numbers.filter(lambda c: c.n >= 10), at_least_ten)
    wrong = Claim("", numbers, at_least_ten)
    assert judge(Statement("", "", everything), NUMPY, 50).verdict == HOLDS
    refuted = judge(Statement("", "", wrong), NUMPY, 50)
    assert (refuted.verdict, refuted.counterexample, refuted.measured) == (REFUTED, {"n": 0}, {"n": 0.0})
    assert judge(Statement("", "", wrong, large), NUMPY, 50).verdict == CORRECTED
    assert judge(Statement("", "", wrong, wrong), NUMPY, 50).verdict == REFUTED
    with pytest.raises(NumericalError, match="no example in 50 met the premises"):
        judge(Statement("", "", Claim("", numbers.filter(lambda c: False), at_least_ten)), NUMPY, 50)


def test_an_error_in_a_check_is_no_refutation():
    def broken(c: Case) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        judge(Statement("", "", Claim("", st.builds(Case), broken)), NUMPY, 5)


def test_a_record_is_plain_data():
    record = judge(BY_NAME["certificate-sound"], NUMPY, 5).record()
    assert record["as_expected"]
    case = {"params": {"W1": np.eye(2)}, "layers": [np.ones(1)], "eps": 0.5}
    record = Verdict(BY_NAME["certificate-sound"], REFUTED, 1, case, {"B": 1.0}).record()
    assert record["counterexample"] == {"params": {"W1": [[1, 0], [0, 1]]}, "layers": [[1]], "eps": 0.5}
    assert not record["as_expected"]


def complement(V):
    return np.eye(len(V)) - V @ V.T


def wrong_way(attack: Callable) -> Callable:
    return lambda gradient, x, **budget: 2 * x - attack(gradient, x, **budget)


def scaled(f: Callable, factor: float) -> Callable:
    return lambda *arguments, **options: factor * f(*arguments, **options)


def half_budget(attack: Callable) -> Callable:
    return lambda *arguments, eps, **options: attack(*arguments, eps=eps / 2, **options)


def with_gradient(norm: Callable, change: Callable) -> Callable:
    def mutant(W: Any) -> Any:
        value, G = norm(W)
        return value, change(G)

    return mutant


MUTANTS = [
    ("another projection", theorem, "projection", lambda f: complement, "theorem-1-accuracy"),
    ("a longer projection", theorem, "projection", lambda f: scaled(f, 2), "remark-1"),
    ("no attack", theorem, "adversarial_error", lambda f: lambda w, x, y, *_: f(w, x, y, 0.0), "theorem-1-without"),
    ("an attack that helps", theorem, "adversarial_error", lambda f: lambda *a: 1 - f(*a), "theorem-1-robustness"),
    ("s upside down", theorem, "sparsity", lambda f: lambda w: 1 / f(w) if f(w) > 0 else f(w),
     "theorem-1-proof-premise"),
    ("s without its root", theorem, "sparsity", lambda f: lambda w: f(w) ** 2, "theorem-1-proof-bound"),
    ("l2 for l1", theorem, "l1_norm", lambda f: lambda w: float(np.linalg.norm(w)), "theorem-1-proof-premise"),
    ("r without its root", theorem, "effective_rank", lambda f: lambda W: f(W) ** 2, "after-proof-overparametrized"),
    ("another net", theorem, "linear_net", lambda f: lambda Ws, w: f(Ws, w) ** 2, "after-proof-overparametrized"),
    ("one layer's gradient lost", theorem, "input_gradient", lambda f: scaled(f, 0.5), "after-proof-any"),
    ("an attack that helps", linear, "adversarial_error", lambda f: lambda *a: 1 - f(*a), "p-eps-monotone"),
    ("no label in p_eps", linear, "adversarial_error", lambda f: lambda w, x, y, *a: f(w, x, abs(y), *a),
     "p-eps-one-perturbation"),
    ("the sign of FGSM", linear, "fgsm", wrong_way, "fgsm-optimal"),
    ("half of FGSM", linear, "fgsm", half_budget, "fgsm-optimal"),
    ("half of GNM", linear, "gnm", half_budget, "gnm-dual-norm"),
    ("ties are errors", linear, "error", lambda f: lambda w, x, y: f(w, x, y) + float(np.mean(y * (x @ w) == 0)),
     "p-eps-one-perturbation"),
    ("l2 for l1 in the distance", linear, "l1_norm", lambda f: lambda w: float(np.linalg.norm(w)),
     "robustness-l1-norm"),
    ("half the reach of Gaussians", linear, "gaussian_error",
     lambda f: lambda w, m, C, eps=0.0, *a: f(w, m, C, eps / 2, *a), "p-eps-gaussian"),
    ("the factors' order", convolution, "componentwise", lambda f: convolution.patchwise, "appendix-b-order"),
    ("a rank that does not see m", convolution, "effective_rank", lambda f: lambda W: f(W) / min(W.shape) ** 0.5,
     "appendix-b-rank"),
    ("filters turned round", convolution, "convolution_matrix", lambda f: lambda W, *a: f(W[:, :, ::-1, ::-1], *a),
     "appendix-b-overlap"),
    ("r without its root", measures, "effective_rank", lambda f: lambda W: f(W) ** 2, "eq-3-bounds"),
    ("s not normalised", measures, "effective_sparsity", lambda f: lambda W: np.abs(W).sum(), "eq-3-invariant"),
    ("the nuclear norm for s", measures, "effective_sparsity", lambda f: measures.effective_rank, "eq-3-rotation"),
    ("the sign of G", measures, "l1", lambda f: with_gradient(f, lambda G: -G), "eq-5-subgradient"),
    ("twice G", measures, "nuclear", lambda f: with_gradient(f, lambda G: 2 * G), "eq-6-subgradient"),
    ("a smaller G", measures, "nuclear", lambda f: with_gradient(f, lambda G: soft_threshold(G, 0.1)),
     "eq-6-subgradient"),
    ("bounds interchanged", bounds, "mutual_information", lambda f: lambda *a: f(*a)[::-1], "mutual-information-order"),
    ("nats for bits", bounds, "mutual_information", lambda f: lambda *a: tuple(math.log(2) * b for b in f(*a)),
     "mutual-information-closed"),
    ("half the reach", bounds, "margin_reach", lambda f: scaled(f, 0.5), "certificate-sound"),
    ("a tenth of the label's reach", bounds, "label_reach", lambda f: scaled(f, 0.1), "certificate-loss"),
    ("a reach that falls", bounds, "margin_reach", lambda f: lambda p, x, e, r: f(p, x, e / (1 + 99 * e * e), r),
     "certificate-monotone"),
    ("twice the reach", bounds, "margin_reach", lambda f: scaled(f, 2), "certificate-tight"),
    ("a condition number's root", sensitivity, "condition_number", lambda f: lambda S: f(S) ** 0.5,
     "sensitivity-attained"),
    ("activations for nothing", sensitivity, "_bound",
     lambda f: lambda c: f(Case(layers=c.layers, slope=1.0)) * 0.5, "sensitivity-bound"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("module", "name", "mutate", "caught_by"), [m[1:] for m in MUTANTS], ids=[m[0] for m in MUTANTS]
)
def test_what_is_broken_is_caught(monkeypatch, module, name, mutate, caught_by):
    monkeypatch.setattr(module, name, mutate(getattr(module, name)))
    (statement,) = named(STATEMENTS, (caught_by,))
    assert not all(judge(statement, NUMPY, EXAMPLES, entropy).as_expected for entropy in range(3))


def test_every_derivative_is_right(be):
    rows = derivatives.compare(be.backend)
    assert all(row.as_expected for row in rows), [row for row in rows if not row.as_expected]
    assert {row.against for row in rows} >= {"difference quotient"}
    assert ("autograd" in {row.against for row in rows}) == (be.backend.name == "numpy")


def with_pullback(primitive: Callable, change: Callable[[Pullback], Pullback]) -> Callable:
    def mutant(*arguments: Any) -> Any:
        y, pull = primitive(*arguments)
        return y, change(pull)

    return mutant


def halved(pull: Pullback) -> Pullback:
    return Pullback(x=lambda dy: pull.x(dy) / 2, params=pull.params)


def flipped(pull: Pullback) -> Pullback:
    return Pullback(x=pull.x, params=lambda dy: tuple(-g for g in pull.params(dy)))


@pytest.mark.parametrize(
    ("name", "mutate", "caught_by"),
    [
        ("affine", lambda f: with_pullback(f, flipped), "affine"),
        ("tanh", lambda f: lambda x: (np.tanh(x), Pullback(x=lambda dy: dy * (1 - np.tanh(x)))), "tanh"),
        ("cross_entropy", lambda f: with_pullback(f, halved), "cross-entropy"),
        ("margins", lambda f: with_pullback(f, halved), "margins"),
        ("conv2d", lambda f: with_pullback(f, flipped), "conv2d"),
        ("leaky_relu", lambda f: with_pullback(f, halved), "leaky relu"),
        ("max_pool", lambda f: with_pullback(f, halved), "max-pool"),
        ("col2im", lambda f: lambda *a: f(*a)[..., ::-1], "im2col"),
        ("nuclear", lambda f: with_gradient(f, lambda G: G / 2), "nuclear norm"),
        ("joint", lambda f: lambda Ws: (f(Ws)[0], [-G for G in f(Ws)[1]]), "joint term"),
        ("factor_gradients", lambda f: lambda *a: Factors(f(*a).U, f(*a).V / 2), "low-rank perturbation"),
        ("mean_reach", lambda f: lambda *a: (f(*a)[0], {b: -g for b, g in f(*a)[1].items()}), "margins' reach"),
        ("row_column", lambda f: with_gradient(f, np.abs), "row and column sums"),
        ("input_gradient", lambda f: lambda *a: 2 * f(*a), "fully connected net"),
        ("loss_gradient", lambda f: lambda *a: lambda x: -f(*a)(x), "fully connected net: loss by input"),
        ("fgsm", wrong_way, "fully connected net: FGSM raises the loss by eps |g|_1"),
    ],
)
def test_a_wrong_derivative_is_caught(monkeypatch, name, mutate, caught_by):
    monkeypatch.setattr(derivatives, name, mutate(getattr(derivatives, name)))
    wrong = {row.name for row in derivatives.compare(NUMPY) if not row.as_expected}
    assert caught_by in wrong
