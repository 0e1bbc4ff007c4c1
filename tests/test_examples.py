"""The examples in docstrings give what stands below them."""

import ast
import doctest
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

MOST_READ = {
    *("affine", "tanh", "cross_entropy", "margins", "conv2d", "max_pool", "input_gradient", "gradients"),
    *("fgsm", "pgd", "gnm", "l1", "nuclear", "joint", "soft_threshold", "singular_value_threshold"),
    *("effective_sparsity", "effective_rank", "mutual_information", "accuracy", "interval", "adversarial_error"),
}


def documented() -> list[tuple[str, str, str]]:
    """Module, name and docstring of every function and class of the library whose docstring has an example."""
    found = []
    for path in sorted((ROOT / "refimpl").rglob("*.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and ">>>" in (text := ast.get_docstring(node) or ""):
                found.append((module, node.name, text))
    return found


@pytest.mark.parametrize(("module", "name", "text"), documented(), ids=lambda value: value if "\n" not in value else "")
def test_examples_give_what_they_say(module, name, text):
    test = doctest.DocTestParser().get_doctest(text, {}, f"{module}.{name}", None, None)
    report: list[str] = []
    found = doctest.DocTestRunner().run(test, out=report.append)
    assert found.attempted
    assert not found.failed, "".join(report)


def test_the_functions_most_read_have_an_example():
    assert {name for _, name, _ in documented()} >= MOST_READ
