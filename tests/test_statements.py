"""Statements of the paper have the outcome we expect; with a broken formula they have not."""

import math
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from backends import BACKENDS, NUMPY
from hypothesis import settings
from hypothesis import strategies as st

from refimpl.attacks.lora_pgd import LowRankPerturbation
from refimpl.errors import NumericalError, UsageError
from refimpl.regularizers.l1 import soft_threshold
from refimpl.tape import Pullback
from refimpl.theory import gradcheck
from refimpl.theory.statements import (
    CORRECTED,
    HOLDS,
    NOT_REFUTED,
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
from refimpl.theory.statements.judge import Verdict
from refimpl.theory.statements.statement import Example, require

EXAMPLES = max(settings.default.max_examples, 75)  # `refimpl verify --examples 1000` in the second pass tries more
BROKEN = max(settings.default.max_examples, 150)
ENTROPY = None if os.environ.get("HYPOTHESIS_PROFILE") == "thorough" else 0
ONCE = [case for case in BACKENDS if case.id != "numpy-float32"]  # for what is computed in float64 everywhere
STRICT_LATER = [
    pytest.param(*case.values, id=case.id, marks=[*case.marks, pytest.mark.slow]) if "strict" in str(case.id) else case
    for case in ONCE
]
"""The same, on strict arrays in the second pass."""
THEORY = Path(__file__).parent.parent / "refimpl" / "theory"
BY_NAME = {statement.name: statement for statement in STATEMENTS}


@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda statement: statement.name)
def test_the_verdict_is_the_expected_one(statement):
    """A false claim that was not refuted is tried again, on twice as many examples each time, four times at most."""
    verdict = judge(statement, NUMPY, EXAMPLES, ENTROPY, shrink=False)
    for entropy in (1, 2, 3, 4):
        if verdict.outcome == NOT_REFUTED:
            verdict = judge(statement, NUMPY, 2**entropy * EXAMPLES, entropy, shrink=False)
    assert verdict.as_expected, (verdict.outcome, verdict.counterexample, verdict.measured)


@pytest.mark.parametrize("be", ONCE, indirect=True)
@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda statement: statement.name)
def test_nothing_is_refuted_that_holds_on_any_backend(statement, be):
    """In float64 everywhere; of a false claim only the correction, for so few examples may not refute it."""
    claim = statement.correction or statement.claim
    verdict = judge(Statement(statement.name, statement.location, claim), be.backend, 10)
    assert verdict.outcome == HOLDS, verdict.measured


def test_the_counterexample_of_the_proof_is_as_small_as_can_be():
    printed = Statement("", "", BY_NAME["theorem-1-proof-premise"].claim)
    verdict = judge(printed, NUMPY, 300)
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


def test_the_readme_of_the_theory_names_statements_where_they_are():
    rows = re.findall(r"\[(`[^\]]*`)\]\((statements/[^)]*)\) \|", (THEORY / "README.md").read_text())
    corrected = {statement.name for statement in STATEMENTS if statement.correction}
    assert corrected - {"eq-3-rotation"} <= {name for names, _ in rows for name in re.findall(r"`([^`]*)`", names)}
    for names, path in rows:
        for name in re.findall(r"`([^`]*)`", names):
            assert name in BY_NAME
            assert f'"{name}"' in (THEORY / path).read_text()


def at_least_ten(c: Example) -> None:
    require(c.n >= 10, {"n": c.n})


def test_outcomes_of_true_false_and_corrected_claims():
    numbers = st.builds(Example, n=st.integers(0, 100))
    everything, large = Claim("", numbers, lambda c: None), Claim("", numbers.filter(lambda c: c.n >= 10), at_least_ten)
    wrong = Claim("", numbers, at_least_ten)
    assert judge(Statement("", "", everything), NUMPY, 50).outcome == HOLDS
    refuted = judge(Statement("", "", wrong), NUMPY, 50)
    assert (refuted.outcome, refuted.counterexample, refuted.measured) == (REFUTED, {"n": 0}, {"n": 0.0})
    assert judge(Statement("", "", wrong, large), NUMPY, 50).outcome == CORRECTED
    assert judge(Statement("", "", wrong, wrong), NUMPY, 50).outcome == REFUTED
    assert judge(Statement("", "", everything, wrong), NUMPY, 50).outcome == REFUTED  # the correction is always tried
    undecided = judge(Statement("", "", everything, large), NUMPY, 50)
    assert (undecided.outcome, undecided.as_expected, undecided.counterexample) == (NOT_REFUTED, None, None)
    with pytest.raises(NumericalError, match="no example of 50 met the premise"):
        judge(Statement("", "", Claim("", numbers.filter(lambda c: False), at_least_ten)), NUMPY, 50)


def test_an_error_in_a_check_is_no_refutation():
    def broken(c: Example) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        judge(Statement("", "", Claim("", st.builds(Example), broken)), NUMPY, 5)


def test_a_verdict_is_plain_data_as_a_dictionary():
    row = judge(BY_NAME["certificate-sound"], NUMPY, 5).as_dict()
    assert row["as_expected"]
    example = {"params": {"W1": np.eye(2)}, "layers": [np.ones(1)], "eps": 0.5}
    row = Verdict(BY_NAME["certificate-sound"], REFUTED, 1, example, {"B": 1.0}).as_dict()
    assert row["counterexample"] == {"params": {"W1": [[1, 0], [0, 1]]}, "layers": [[1]], "eps": 0.5}
    assert row["measured"] == [{"quantity": "B", "value": 1.0}]
    assert row["as_expected"] is False


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
    ("half the bound", bounds, "margin_bound", lambda f: scaled(f, 0.5), "certificate-sound"),
    ("a tenth of the label's bound", bounds, "label_bound", lambda f: scaled(f, 0.1), "certificate-loss"),
    ("a bound that falls", bounds, "margin_bound",
     lambda f: lambda net, p, x, e, r: f(net, p, x, e / (1 + 99 * e * e), r),
     "certificate-monotone"),
    ("twice the bound", bounds, "margin_bound", lambda f: scaled(f, 2), "certificate-tight"),
    ("a condition number's root", sensitivity, "condition_number", lambda f: lambda S: f(S) ** 0.5,
     "sensitivity-attained"),
    ("activations for nothing", sensitivity, "_bound",
     lambda f: lambda c: f(Example(layers=c.layers, slope=1.0)) * 0.5, "sensitivity-bound"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("module", "name", "mutate", "caught_by"), [m[1:] for m in MUTANTS], ids=[m[0] for m in MUTANTS]
)
def test_what_is_broken_is_caught(monkeypatch, module, name, mutate, caught_by):
    monkeypatch.setattr(module, name, mutate(getattr(module, name)))
    (statement,) = named(STATEMENTS, (caught_by,))
    assert not all(judge(statement, NUMPY, BROKEN, entropy, shrink=False).as_expected for entropy in range(3))


@pytest.mark.parametrize("be", STRICT_LATER, indirect=True)
def test_every_derivative_is_right(be):
    rows = gradcheck.compare(be.backend)
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
        ("factor_gradients", lambda f: lambda *a: LowRankPerturbation(f(*a).U, f(*a).V / 2), "low-rank perturbation"),
        ("mean_margin_bound", lambda f: lambda *a: (f(*a)[0], {b: -g for b, g in f(*a)[1].items()}), "margin bound"),
        ("row_and_column_sums", lambda f: with_gradient(f, np.abs), "row and column sums"),
        ("input_gradient", lambda f: lambda *a: 2 * f(*a), "fully connected net"),
        ("loss_gradient", lambda f: lambda *a: lambda x: -f(*a)(x), "fully connected net: loss by input"),
        ("fgsm", wrong_way, "fully connected net: FGSM raises the loss by eps |g|_1"),
    ],
)
def test_a_wrong_derivative_is_caught(monkeypatch, name, mutate, caught_by):
    """Of the derivatives only the one that `caught_by` names is compared, which passes without the change."""
    every = gradcheck.derivatives
    monkeypatch.setattr(gradcheck, "derivatives", lambda *a: (d for d in every(*a) if d.name == caught_by))
    rows = gradcheck.compare(NUMPY)
    assert rows
    assert all(row.as_expected for row in rows)
    monkeypatch.setattr(gradcheck, name, mutate(getattr(gradcheck, name)))
    assert not all(row.as_expected for row in gradcheck.compare(NUMPY))
