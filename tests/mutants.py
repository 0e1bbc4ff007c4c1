"""How many wrong programs the tests would notice: change one thing in a file, run its tests, put it back.

    python tests/mutants.py                      # 300 mutants, a seeded sample over all files below; minutes to an hour
    python tests/mutants.py --sample 40 --jobs 2 refimpl/attacks
    python tests/mutants.py --list               # the mutants, without running anything

A mutant survives when its tests pass. `EQUIVALENT` names those that change nothing that can be observed, each with its
reason; they are not drawn.
"""

import argparse
import ast
import copy
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
TIMEOUT = 240
"""Seconds after which a mutant that does not end counts as caught."""

TESTS = {
    "refimpl/layers/convolution.py": ("core/test_conv.py", "core/test_cnn.py"),
    "refimpl/layers/pooling.py": ("core/test_conv.py", "core/test_cnn.py", "fast/test_cnn.py"),
    "refimpl/layers/loss.py": ("core/test_loss.py",),
    "refimpl/layers": ("core/test_ops.py", "core/test_conv.py", "core/test_loss.py", "core/test_cnn.py"),
    "refimpl/attacks/verify.py": ("core/test_attacks.py", "core/test_fooling.py", "core/test_input_weight.py"),
    "refimpl/attacks/input_weight.py": ("core/test_input_weight.py",),
    "refimpl/attacks/low_rank.py": ("core/test_low_rank_attack.py",),
    "refimpl/attacks/lora_pgd.py": ("core/test_low_rank_attack.py",),
    "refimpl/attacks": ("core/test_attacks.py", "core/test_low_rank_attack.py"),
    "refimpl/regularizers/margin_bound.py": ("core/test_margin_bound.py",),
    "refimpl/regularizers/operator_norms.py": ("core/test_margin_bound.py",),
    "refimpl/regularizers": ("core/test_regularizers.py",),
    "refimpl/measures/fooling.py": ("core/test_fooling.py",),
    "refimpl/measures/information.py": ("core/test_information.py",),
    "refimpl/measures/certificates.py": ("core/test_margin_bound.py", "core/test_input_weight.py"),
    "refimpl/measures": ("core/test_metrics.py", "core/test_fooling.py", "core/test_input_weight.py"),
    "refimpl/optimizers": ("core/test_optim.py", "core/test_train.py", "fast/test_training.py"),
    "refimpl/training": ("core/test_train.py", "core/test_monitor.py"),
    "refimpl/low_rank": ("low_rank/",),
    "refimpl/fast": ("fast/",),
    "refimpl/runs/checkpoint.py": ("runs/test_checkpoint.py",),
    "refimpl/atomic.py": ("test_atomic.py",),
    "refimpl/data/idx.py": ("test_idx.py",),
}
"""The tests of a file, the most particular entry winning."""

FILES = (
    *("layers", "attacks", "regularizers", "measures", "optimizers", "low_rank", "training"),
    *("fast", "runs/checkpoint.py", "atomic.py", "data/idx.py"),
)

EQUIVALENT: dict[str, str] = {}
"""`FILE: CHANGED LINE -> WHAT IT BECOMES`, and why nobody could tell."""

COMPARISONS = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
OPERATORS = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip
NAMES = {
    "maximum": "minimum", "minimum": "maximum", "max": "min", "min": "max", "argmax": "argmin", "argmin": "argmax",
    "zeros_like": "ones_like", "ones_like": "zeros_like", "all": "any", "any": "all", "abs": "sign", "sign": "abs",
    "greater": "less", "add": "subtract", "subtract": "add",
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """`path` with `source`, in which line `line` was `before` and is `after`."""

    path: str
    line: int
    before: str
    after: str
    source: str

    @property
    def name(self) -> str:
        return f"{self.path}: {self.before} -> {self.after}"


def changes(node: ast.AST) -> Iterator[ast.AST]:
    """What one node may become."""
    if isinstance(node, ast.Compare) and type(node.ops[0]) in COMPARISONS:
        yield ast.Compare(node.left, [COMPARISONS[type(node.ops[0])](), *node.ops[1:]], node.comparators)
    elif isinstance(node, ast.BinOp) and type(node.op) in OPERATORS and not isinstance(node.left, ast.JoinedStr):
        yield ast.BinOp(node.left, OPERATORS[type(node.op)](), node.right)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.Not):
        yield node.operand
    elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
        yield ast.Constant(node.value + 1)
    elif isinstance(node, ast.Constant) and type(node.value) is bool:
        yield ast.Constant(not node.value)
    elif isinstance(node, ast.Attribute) and node.attr in NAMES:
        yield ast.Attribute(node.value, NAMES[node.attr], node.ctx)
    elif (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)) or isinstance(node, ast.Raise):
        yield ast.Pass()


def mutants(path: Path) -> Iterator[Mutant]:
    """All mutants of a file; annotations, docstrings and the defaults of settings are left alone."""
    source = path.read_text()
    tree, name = ast.parse(source), str(path.relative_to(ROOT))
    places = list(_places(tree))
    for number, node in enumerate(places):
        for new in changes(node):
            changed = copy.deepcopy(tree)
            target = list(_places(changed))[number]
            if not _replaced(changed, target, ast.copy_location(new, node)):
                continue
            text = ast.unparse(ast.fix_missing_locations(changed))
            yield Mutant(name, node.lineno, _statement(tree, node), _said(new), text)


def _places(tree: ast.AST) -> Iterator[ast.AST]:
    """The nodes of the code, in a fixed order."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.arg | ast.AnnAssign):
            continue
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            for part in (*node.decorator_list, *node.body):
                if not (isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant)):
                    yield part
                    yield from _places(part)
        elif not isinstance(node, ast.JoinedStr):
            yield node
            yield from _places(node)


def _replaced(tree: ast.AST, old: ast.AST, new: ast.AST) -> bool:
    for parent in ast.walk(tree):
        for field, value in ast.iter_fields(parent):
            if value is old:
                setattr(parent, field, new)
                return True
            if isinstance(value, list) and any(item is old for item in value):
                value[[item is old for item in value].index(True)] = new
                return True
    return False


def _statement(tree: ast.AST, node: ast.AST) -> str:
    return ast.unparse(node).replace("\n", " ")[:90]


def _said(node: ast.AST) -> str:
    return ast.unparse(ast.fix_missing_locations(node)).replace("\n", " ")[:90]


def tests_of(path: str) -> tuple[str, ...]:
    found = max((key for key in TESTS if path.startswith(key)), key=len)
    return TESTS[found]


def survives(mutant: Mutant, tree: Path) -> bool:
    """Whether the tests of the file pass with the mutant in a copy of the tree."""
    target = tree / mutant.path
    whole = target.read_text()
    target.write_text(mutant.source)
    environment = os.environ | {"PYTHONPATH": str(tree), "HYPOTHESIS_PROFILE": "dev", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-m", "not slow"]
    command += [f"tests/{name}" for name in tests_of(mutant.path)]
    try:
        done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, timeout=TIMEOUT)
        return done.returncode == 0
    except subprocess.TimeoutExpired:
        return False
    finally:
        target.write_text(whole)


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else sorted(path.rglob("*.py"))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("paths", nargs="*", default=[f"refimpl/{name}" for name in FILES])
    parser.add_argument("--sample", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    files = [file for path in options.paths for file in _files(ROOT / path)]
    drawn = [mutant for file in files for mutant in mutants(file) if mutant.name not in EQUIVALENT]
    random.Random(options.seed).shuffle(drawn)
    drawn = drawn[: options.sample]
    if options.list:
        print("\n".join(f"{mutant.path}:{mutant.line}: {mutant.before} -> {mutant.after}" for mutant in drawn))
        return 0
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(options.jobs) as pool:
        free = []
        for job in range(options.jobs):
            tree = Path(folder) / str(job)
            for part in ("refimpl", "tests"):
                shutil.copytree(ROOT / part, tree / part, ignore=shutil.ignore_patterns("__pycache__"))
            shutil.copy(ROOT / "pyproject.toml", tree)
            free.append(tree)

        def tried(mutant: Mutant) -> bool:
            tree = free.pop()
            try:
                return survives(mutant, tree)
            finally:
                free.append(tree)

        alive = []
        for done, (mutant, survived) in enumerate(zip(drawn, pool.map(tried, drawn), strict=True), start=1):
            if survived:
                alive.append(mutant)
                print(f"survives: {mutant.path}:{mutant.line}: {mutant.before} -> {mutant.after}", flush=True)
            if done % 20 == 0:
                print(f"{done}/{len(drawn)}, {len(alive)} survive", file=sys.stderr, flush=True)
    print(f"{len(alive)} of {len(drawn)} mutants survive, {100 * len(alive) / max(len(drawn), 1):.1f} %")
    return int(len(alive) > 0.03 * len(drawn))


if __name__ == "__main__":
    sys.exit(main())
