"""Each exercise: the solution passes, typical mistakes written into it get their hints."""

import importlib.util

import numpy as np
import pytest

from refimpl.errors import DataError, UsageError
from refimpl.exercises import EXERCISES, check, solved, template, write

MISTAKES = {
    "tanh": [
        ("(1 - y * y)", "(1 + y * y)", "a sign"),
        ("(1 - y * y)", "(1 - y)", "a missing square"),
        ("dy * (1 - y * y)", "1 - y * y", "the chain rule"),
        ("(1 - y * y)", "(1 - x * x)", "of the output y"),
    ],
    "relu": [
        ("x > 0, dy, 0.0", "dy > 0, dy, 0.0", "the wrong gate"),
        ("np.where(x > 0, dy, 0.0)", "dy * np.maximum(x, 0)", "not by the value"),
        ("x > 0, dy, 0.0", "x > 0, 1.0, 0.0", "not multiplied by dy"),
        ("x > 0", "x < 0", "not where it is negative"),
    ],
    "affine-input": [
        ("dy @ W", "dy @ W.T", "a transpose: forward"),
        ("dy @ W", "W.T @ dy", "the order of a product"),
        ("dy @ W", "-dy @ W", "a sign"),
        ("dy @ W", "x @ W.T", "the forward pass"),
    ],
    "affine-weights": [
        ("dy.T @ x", "x.T @ dy", "the shape of W"),
        ("dy.T @ x", "dy.T @ x / len(x)", "a mean in place of a sum"),
        ("dy.T @ x", "dy[0][:, None] * x[0]", "a missing sum"),
        ("dy.T @ x", "np.outer(dy.sum(0), x.sum(0))", "the order of sum and product"),
        ("dy.T @ x", "dy @ x", "the rows of dy"),
    ],
    "affine-bias": [
        ("dy.sum(axis=0)", "dy", "a missing sum"),
        ("axis=0", "axis=1", "the wrong axis"),
        ("dy.sum(axis=0)", "dy.mean(axis=0)", "a mean in place of a sum"),
        ("axis=0", "", "a sum too many"),
    ],
    "cross-entropy": [
        ("(p - t)", "(t - p)", "a sign"),
        (" / len(z)", "", "a missing mean"),
        ("(p - t)", "p", "a missing term"),
        ("e.sum(axis=1", "e.sum(axis=0", "the wrong axis: the sum"),
        ("axis=1", "axis=0", "the wrong axis: softmax"),
        ("z - z.max(axis=1, keepdims=True)", "z", "finite for logits of 1000"),
    ],
    "max-pool": [
        ("dx[2 * i + a, 2 * j + b] = ", "dx[2 * i : 2 * i + 2, 2 * j : 2 * j + 2] = ", "the others get 0"),
        ("= dy[i, j]", "= window.max() * dy[i, j]", "not by the largest entry"),
        ("= dy[i, j]", "= 1", "not multiplied by dy"),
        ("np.argmax", "np.argmin", "the smallest entry"),
        ("np.argmax(window)", "3 - np.argmax(window[::-1, ::-1])", "of equal entries"),
    ],
    "im2col": [
        ("axis=1", "axis=0", "a transpose"),
        ("for i in range(h) for j in range(w)", "for j in range(w) for i in range(h)", "the order of patches"),
        (".ravel()", ".T.ravel()", "the order in a patch"),
        ("- k + 1, x.shape[1] - k + 1", "- k, x.shape[1] - k", "missing patches"),
    ],
    "col2im": [
        ("+=", "=", "a missing sum"),
        ("reshape(k, k)", "reshape(k, k).T", "the order in a patch"),
        ("reshape(k, k)", "reshape(k, k)[::-1, ::-1]", "a flip"),
        ("return x", "return -x", "a sign"),
    ],
    "filter-gradient": [
        ("x[:, a : a + h, b : b + w]", "x[:, k-1-a : k-1-a + h, k-1-b : k-1-b + w]", "a flip"),
        ("a : a + h, b : b + w", "b : b + h, a : a + w", "a transpose"),
        ("np.sum(dy", "np.sum(dy / len(x)", "a mean in place of a sum"),
        ("np.sum(dy * x[:,", "np.sum(dy[0] * x[0,", "all images of the batch"),
    ],
    "fgsm": [
        ("x + eps", "x - eps", "a sign"),
        ("np.sign(gradient)", "gradient", "a missing sign function"),
        ("np.sign(gradient)", "gradient / np.sqrt((gradient**2).sum(1, keepdims=True))", "another norm"),
        ("x + eps", "eps", "add it to x"),
        ("np.sign(gradient)", "np.where(gradient >= 0, 1.0, -1.0)", "a pixel without gradient"),
    ],
    "pgd-projection": [
        ("np.clip(x_adv, x - eps, x + eps)", "x_adv", "the ball of radius eps"),
        ("np.clip(np.clip(x_adv, x - eps, x + eps), 0, 1)", "np.clip(x_adv, x - eps, x + eps)", "pixels in [0, 1]"),
        ("x - eps, x + eps", "-eps, eps", "not around 0"),
        ("x_adv, x - eps, x + eps", "x_adv - x, -eps, eps", "x is not added"),
    ],
    "gnm-choice": [
        ("M - h * np.abs(dM).sum(axis=2)", "M", "how far a step"),
        ("M - h", "M + h", "a sign"),
        ("np.abs(dM).sum(axis=2)", "np.sqrt((dM**2).sum(axis=2))", "l1, not l2"),
        ("np.abs(dM).sum(axis=2)", "np.abs(dM).max(axis=2)", "l1, not l_inf"),
        ("np.argmin", "np.argmax", "the least margin"),
    ],
    "effective-sparsity": [
        ("np.abs(W).sum() / np.sqrt((W * W).sum())", "np.sqrt((W * W).sum()) / np.abs(W).sum()", "upside down"),
        ("np.sqrt((W * W).sum())", "(W * W).sum()", "a missing root"),
        ("np.abs(W).sum()", "W.sum()", "absolute values"),
        ("np.abs(W).sum()", "np.linalg.norm(W, 1)", "the largest sum of a column"),
        ("np.sqrt((W * W).sum())", "np.linalg.norm(W, ord=2)", "the largest singular value"),
    ],
    "effective-rank": [
        ("np.sqrt((s * s).sum())", "s[0]", "the spectral norm"),
        ("s.sum() / np.sqrt((s * s).sum())", "s.sum()**2 / (s * s).sum()", "a square too many"),
        ("np.sqrt((s * s).sum())", "(s * s).sum()", "a missing root"),
        ("np.linalg.svd(W, compute_uv=False)", "np.abs(W)", "effective sparsity"),
    ],
    "l1": [
        ("np.sign(W)", "np.sign(np.abs(W))", "a missing sign"),
        ("np.sign(W)", "1.0 - 2.0 * (W < 0)", "at 0"),
        ("np.sign(W)", "W + W", "the sum of squares"),
        ("np.sign(W)", "np.abs(W)", "not its derivative"),
    ],
    "soft-threshold": [
        ("np.sign(W) * ", "", "a missing sign"),
        ("np.maximum(np.abs(W) - t, 0)", "(np.abs(W) - t)", "a missing maximum"),
        ("np.sign(W) * np.maximum(np.abs(W) - t, 0)", "np.maximum(W - t, 0)", "absolute values"),
        ("np.sign(W) * np.maximum(np.abs(W) - t, 0)", "W * (np.abs(W) > t)", "hard thresholding"),
    ],
    "nuclear-norm": [
        ("@ Vh[:r]", "@ Vh[:r].T", "V transposed already"),
        ("U[:, :r] @ Vh[:r]", "(U[:, :r] @ Vh[:r]).T", "a transpose"),
        ("U[:, :r]", "(U * s)", "the singular values are left in"),
        ("U[:, :r] @ Vh[:r]", "-U[:, :r] @ Vh[:r]", "a sign"),
        ("r = np.sum(s > 1e-12 * s[0])", "r = 1", "a missing sum"),
        ("r = np.sum(s > 1e-12 * s[0])", "r = len(s)", "for W of rank one"),
    ],
    "singular-value-threshold": [
        ("np.maximum(s - t, 0)", "(s - t)", "a missing maximum"),
        ("@ Vh", "@ Vh.T", "a transpose"),
        ("np.maximum(s - t, 0)", "(s * (s > t))", "hard thresholding"),
        ("(U * np.maximum(s - t, 0)) @ Vh", "np.sign(W) * np.maximum(np.abs(W) - t, 0)", "not entries"),
    ],
    "joint-term": [
        ("W3.T @ np.sign(W3 @ W2 @ W1) @ W1.T", "W3 @ np.sign(W3 @ W2 @ W1) @ W1", "a transpose: the factors"),
        ("np.sign(W3 @ W2 @ W1)", "(W3 @ W2 @ W1)", "a missing sign function"),
        ("W3.T @ np.sign(W3 @ W2 @ W1) @ W1.T", "W1.T @ np.sign(W3 @ W2 @ W1) @ W3.T", "the order: what"),
        ("np.sign(W3 @ W2 @ W1)", "np.sign(W1 @ W2 @ W3)", "the order of the layers"),
    ],
}  # fmt: skip
"""What is replaced in the solution, by what, and a part of what is said about it."""


def test_there_are_twelve_or_more_each_with_three_or_more_mistakes():
    assert set(MISTAKES) == set(EXERCISES.names())
    assert len(MISTAKES) >= 12
    assert all(len(mistakes) >= 3 for mistakes in MISTAKES.values())


@pytest.mark.parametrize("name", MISTAKES)
def test_the_solution_passes(name, tmp_path):
    path = tmp_path / "answer.py"
    path.write_text(solved(EXERCISES[name]))
    found = check(EXERCISES[name], path)
    assert found.passed, found
    assert found.rows
    assert all(row.passed for row in found.rows), found.rows


@pytest.mark.parametrize(
    ("name", "right", "wrong", "said"),
    [(name, *mistake) for name, mistakes in MISTAKES.items() for mistake in mistakes],
    ids=[f"{name}-{i}" for name, mistakes in MISTAKES.items() for i in range(len(mistakes))],
)
@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value")
def test_a_typical_mistake_gets_its_hint(name, right, wrong, said, tmp_path):
    question, hole, code = solved(EXERCISES[name]).rpartition('"""')
    assert right in code
    path = tmp_path / "answer.py"
    path.write_text(question + hole + code.replace(right, wrong))
    found = check(EXERCISES[name], path)
    assert not found.passed
    assert said in found.hint or (not found.hint and said in found.problem), found


@pytest.mark.parametrize("name", MISTAKES)
def test_no_two_mistakes_give_the_same_and_none_is_right(name):
    one = EXERCISES[name]
    arguments = one.inputs(np.random.default_rng(0))
    given = [np.asarray(f(*arguments)) for f in (one.solution, *one.mistakes.values())]
    for i, a in enumerate(given):
        assert not any(a.shape == b.shape and np.allclose(a, b) for b in given[:i]), list(one.mistakes)[i - 1]


@pytest.mark.parametrize("name", MISTAKES)
def test_the_file_has_the_question_and_not_the_answer(name, tmp_path):
    path = tmp_path / f"{name}.py"
    write(EXERCISES[name], path)
    text = path.read_text()
    assert text == template(EXERCISES[name])
    assert text.count("return") == solved(EXERCISES[name]).rpartition('"""')[0].count("return")
    found = check(EXERCISES[name], path)
    assert found.problem.endswith("the hole is still there; put your code in its place")
    with pytest.raises(UsageError, match="is there already"):
        write(EXERCISES[name], path)
    assert path.read_text() == text


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("return dy[:2]", "the result should have the shape (3, 4), got (2, 4)"),
        ("return dy.astype('float32')", "the result should be float64, got float32"),
        ("return dy * np.nan", "12 of 12 entries of the result are not finite"),
        ("return dy.tolist()", "the function should return an array, got list"),
        ("return 'no'", "the function should return an array, got str"),
        ("return np.array(['no'])", "the result should have the shape (3, 4), got (1,)"),
        ("pass", "the function returns nothing"),
        ("return dy @ x", "answer.py, line 2: ValueError: matmul"),
        ("return undefined", "answer.py, line 2: NameError: name 'undefined' is not defined"),
        ("raise SystemExit", "answer.py, line 2: SystemExit"),
        ("return (", "answer.py, line 2: SyntaxError: '(' was never closed"),
        ("return dy", "should be"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(body, problem, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "answer.py").write_text(f"def tanh_dx(x, dy):\n    {body}\nimport numpy as np\n")
    found = check(EXERCISES["tanh"], tmp_path / "answer.py")
    assert problem in found.problem
    assert "\n" not in found.problem


def test_a_factor_and_another_transpose_are_seen_where_no_mistake_says_so(tmp_path):
    path = tmp_path / "answer.py"
    for wrong, hint in (("3 * dy * (1 - np.tanh(x) ** 2)", "3 times"), ("(dy * (1 - np.tanh(x) ** 2)).T", "transpose")):
        path.write_text(f"import numpy as np\n\ndef tanh_dx(x, dy):\n    return {wrong}\n")
        assert hint in check(EXERCISES["tanh"], path).hint


def test_inputs_that_are_changed_are_not_those_compared_with(tmp_path):
    path = tmp_path / "answer.py"
    path.write_text("def tanh_dx(x, dy):\n    x *= 0\n    return dy\n")
    assert not check(EXERCISES["tanh"], path).passed


@pytest.mark.parametrize(
    ("result", "problem"),
    [
        ("right(x, dy) if len(x) == 4 else np.ones((4, 6))", "should have the shape (2, 2), got (4, 6)"),
        ("right(x, dy) if len(x) == 4 else None", "the function returns nothing"),
        ("right(x, dy) if len(x) == 4 else 1 / 0", "answer.py, line 5: ZeroDivisionError: division by zero"),
    ],
)
def test_what_fits_the_first_arguments_alone_is_said_in_a_line(result, problem, tmp_path):
    path = tmp_path / "answer.py"
    imports = "import numpy as np\nfrom refimpl.exercises.tasks.layers import max_pool_dx as right\n\n"
    path.write_text(f"{imports}def max_pool_dx(x, dy):\n    return {result}\n")
    found = check(EXERCISES["max-pool"], path)
    assert problem in found.problem


def test_a_file_without_the_function_and_no_file(tmp_path):
    path = tmp_path / "answer.py"
    path.write_text("")
    assert check(EXERCISES["tanh"], path).problem == f"{path} has no function tanh_dx"
    with pytest.raises(DataError, match="not a regular file"):
        check(EXERCISES["tanh"], tmp_path)


def test_without_autograd_a_row_says_so(tmp_path, monkeypatch):
    path = tmp_path / "answer.py"
    path.write_text(solved(EXERCISES["tanh"]))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    found = check(EXERCISES["tanh"], path)
    assert found.passed
    assert [row.passed for row in found.rows] == [True, None]
    assert found.rows[1].against == "autograd (not installed: pip install autograd)"
