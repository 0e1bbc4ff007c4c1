"""How many wrong programs the tests would notice: change one thing in a file, run its tests, put it back.

    python tests/mutants.py                      # 300, a seeded sample over all files below; an hour of one core
    python tests/mutants.py --sample 40 --jobs 2 refimpl/attacks
    python tests/mutants.py --log mutants.jsonl  # repeated, tries only those that were not caught
    python tests/mutants.py --list               # the mutants, without running anything

A mutant survives when its tests pass. mutants.toml names those that change nothing that can be observed, with the
reason; they are not drawn. The draw ranks mutants by a hash of the seed and their names, so that a change of one file
leaves the others' as they were.
"""

import argparse
import ast
import copy
import json
import os
import shutil
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path
from queue import SimpleQueue

ROOT = Path(__file__).parent.parent

SERVER = get_context("forkserver")
"""Each run of the tests is a fork of a process that has imported what does not change."""

PRELOADED = [
    "pytest",
    "hypothesis.extra.numpy",
    "numpy.testing",
    "scipy.integrate",
    "scipy.linalg",
    "scipy.stats",
    "autograd.scipy.special",
    "array_api_strict",
]

FAST = ("fast/test_edges.py", "fast/test_training.py")
TRAINED = ("core/test_refusals.py", "core/test_train.py", *FAST)
INPUT_WEIGHT = ("core/test_margin_bound.py", "core/test_certificates.py", "core/test_input_weight.py")
ATTACKS = ("core/test_attack_edges.py", "core/test_attack_loops.py", "core/test_attacks.py", "core/test_fooling.py")
STRONGER = (
    *("core/test_attack_edges.py", "core/test_attack_loops.py", "core/test_losses.py"),
    *("core/test_smallest_perturbations.py", "core/test_stronger_attacks.py"),
)

TESTS = {
    "refimpl/tape.py": ("core/test_ops.py", "core/test_fcnn.py", "core/test_cnn.py"),
    "refimpl/layers": ("core/test_ops.py", "core/test_conv.py", "core/test_cnn.py", "core/test_fcnn.py"),
    "refimpl/layers/loss.py": ("core/test_loss.py", "core/test_losses.py", "core/test_refusals.py"),
    "refimpl/layers/convolution.py": ("core/test_conv.py", "core/test_cnn.py"),
    "refimpl/layers/pooling.py": ("core/test_ties.py", "core/test_conv.py", "core/test_cnn.py", "fast/test_cnn.py"),
    "refimpl/attacks": ATTACKS,
    "refimpl/attacks/input_weight.py": (*INPUT_WEIGHT, "core/test_attack_edges.py"),
    "refimpl/attacks/lora_pgd.py": ("core/test_low_rank_attack.py", *ATTACKS),
    "refimpl/attacks/low_rank.py": ("core/test_low_rank_attack.py", *ATTACKS),
    **{f"refimpl/attacks/{name}.py": STRONGER for name in ("apgd", "deepfool", "ensemble", "fmn", "losses", "noise")},
    **{f"refimpl/attacks/{name}.py": STRONGER for name in ("norm_ball", "random_signs", "square", "universal")},
    "refimpl/fast/flat.py": ("fast/test_stacked.py", *FAST),
    "refimpl/fast/products.py": ("fast/test_products.py",),
    "refimpl/fast/stacked.py": ("fast/test_stacked.py", *FAST),
    "refimpl/attacks/pgd_l2.py": (*ATTACKS, "core/test_low_rank_attack.py"),
    "refimpl/attacks/sign_step.py": (*ATTACKS, *INPUT_WEIGHT),
    "refimpl/attacks/verify.py": (*ATTACKS, *INPUT_WEIGHT),
    "refimpl/regularizers": (
        *("core/test_regularizers.py", "core/test_rank_terms.py", "core/test_parameters.py"),
        *("core/test_refusals.py", "core/test_train.py"),
    ),
    "refimpl/regularizers/stacked.py": ("core/test_stack.py", "core/test_regularizers.py"),
    "refimpl/regularizers/margin_bound.py": (*INPUT_WEIGHT, "core/test_parameters.py", "core/test_train.py"),
    "refimpl/regularizers/operator_norms.py": (*INPUT_WEIGHT, "core/test_train.py"),
    "refimpl/measures": ("core/test_measure_edges.py", "core/test_metrics.py", "core/test_refusals.py", *ATTACKS),
    "refimpl/measures/certificates.py": ("core/test_measure_edges.py", *INPUT_WEIGHT),
    "refimpl/measures/fooling.py": (
        "core/test_measure_edges.py",
        *ATTACKS,
        "core/test_refusals.py",
        "core/test_monitor.py",
        *INPUT_WEIGHT,
    ),
    "refimpl/measures/fooling_weights.py": (
        "core/test_measure_edges.py",
        "core/test_fooling.py",
        "core/test_refusals.py",
        *INPUT_WEIGHT,
    ),
    "refimpl/measures/worst_case.py": ("core/test_measure_edges.py", "core/test_fooling.py"),
    "refimpl/measures/information.py": (
        "core/test_measure_edges.py",
        "core/test_information.py",
        "core/test_monitor.py",
    ),
    "refimpl/measures/perturbation_spectrum.py": ("core/test_measure_edges.py", "core/test_perturbation_spectrum.py"),
    "refimpl/measures/per_layer.py": ("core/test_metrics.py", "core/test_information.py", "low_rank/"),
    "refimpl/optimizers": ("core/test_optim.py", "core/test_parameters.py", *TRAINED),
    "refimpl/training": ("core/test_monitor.py", "core/test_parameters.py", *TRAINED),
    "refimpl/training/adversarial.py": ("core/test_input_weight.py", *TRAINED),
    "refimpl/training/stack.py": ("core/test_stack.py", "fast/test_stacked.py"),
    "refimpl/low_rank": ("low_rank/test_network.py", "low_rank/test_factorization.py"),
    "refimpl/low_rank/factorization.py": ("low_rank/test_factorization.py", "low_rank/test_network.py"),
    "refimpl/fast": (
        "fast/test_dense.py",
        "fast/test_cnn.py",
        "fast/test_low_rank.py",
        "fast/test_input_weight.py",
        *FAST,
    ),
    "refimpl/fast/cnn.py": ("fast/test_cnn.py", "fast/test_low_rank.py", *FAST),
    "refimpl/fast/convolutions.py": ("fast/test_convolutions.py", "fast/test_cnn.py", *FAST),
    "refimpl/fast/conv_block.py": ("fast/test_cnn.py", "fast/test_ties.py", "fast/test_low_rank.py", *FAST),
    "refimpl/fast/newton_schulz.py": ("fast/test_newton_schulz.py", *FAST),
    "refimpl/fast/training.py": ("fast/test_training.py", "fast/test_edges.py", "fast/test_input_weight.py"),
    "refimpl/runs/checkpoint.py": ("runs/test_checkpoint.py",),
    "refimpl/atomic.py": ("test_atomic.py",),
    "refimpl/data/idx.py": ("test_idx.py",),
}
"""The tests of a file, the likeliest to fail first; the longest key that begins its path holds."""

FILES = (
    *("tape.py", "layers", "attacks", "regularizers", "measures", "optimizers", "low_rank", "training"),
    *("fast", "runs/checkpoint.py", "atomic.py", "data/idx.py"),
)

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
    """Place `place` of the file `path`, which stands in line `line`, as its change number `choice` leaves it."""

    path: str
    line: int
    name: str
    place: int
    choice: int

    def rank(self, seed: int) -> bytes:
        """Where it stands in the draw: a change elsewhere moves no other mutant."""
        return sha256(f"{seed} {self.name}".encode()).digest()

    def source(self) -> str:
        """The changed file."""
        tree = ast.parse((ROOT / self.path).read_text())
        node, _ = list(_places(tree))[self.place]
        new = list(changes(node))[self.choice]
        if not _replaced(tree, node, ast.copy_location(new, node)):
            raise LookupError(f"{self.name}: no such place")
        return ast.unparse(ast.fix_missing_locations(tree))


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
    """All mutants of a file; annotations, settings and strings are left alone."""
    file, seen = path.relative_to(ROOT).as_posix(), Counter[str]()
    for place, (node, statement) in enumerate(_places(ast.parse(path.read_text()))):
        for choice, new in enumerate(changes(node)):
            said = f"{_text(statement)}: {_text(node)} -> {_text(new)}"
            name = f"{file}: {_text(node)} -> {_text(new)}" if node is statement else f"{file}: {said}"
            seen[name] += 1
            yield Mutant(file, node.lineno, name if seen[name] == 1 else f"{name} ({seen[name]})", place, choice)


def _places(tree: ast.AST, statement: ast.AST | None = None) -> Iterator[tuple[ast.expr | ast.stmt, ast.AST]]:
    """The nodes of the code in a fixed order, each with the statement that it is part of."""
    for name, value in ast.iter_fields(tree):
        if name in ("annotation", "returns"):
            continue
        for node in value if isinstance(value, list) else [value]:
            if not isinstance(node, ast.AST) or isinstance(node, ast.JoinedStr) or _left_alone(node):
                continue
            inner = node if isinstance(node, ast.stmt) else statement
            if isinstance(node, ast.expr | ast.stmt) and inner is not None:
                yield node, inner
            yield from _places(node, inner)


def _left_alone(node: ast.AST) -> bool:
    """`strict=True` of `zip`, which like an assertion guards what cannot happen, and settings of the command line."""
    setting = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("setting", "by_layer")
    return setting or (isinstance(node, ast.keyword) and node.arg == "strict")


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


def _text(node: ast.AST) -> str:
    """The first line of a node, at most 90 characters."""
    return ast.unparse(ast.fix_missing_locations(copy.deepcopy(node))).splitlines()[0][:90]


def tests_of(path: str) -> tuple[str, ...]:
    particular = TESTS[max((key for key in TESTS if path.startswith(key)), key=len)]
    return tuple(dict.fromkeys((*particular, "core/test_frozen.py")))


def run_tests(tree: Path, tests: tuple[str, ...]) -> None:
    """Run tests in a copy of the tree, up to the first that fails, and exit with their status."""
    import pytest
    from hypothesis import Phase, settings

    sys.path.insert(0, str(tree))
    os.environ |= {"PYTHONPATH": str(tree), "HYPOTHESIS_PROFILE": "mutants"}
    settings.register_profile("mutants", derandomize=True, deadline=None, max_examples=25, phases=[Phase.generate])
    os.chdir(tree)
    with Path("output").open("w") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    options = ["-x", "-q", "--tb=line", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning"]
    os._exit(pytest.main([*options, *(f"tests/{name}" for name in tests)]))


def fate(tree: Path, tests: tuple[str, ...], timeout: float | None = None) -> str:
    """What becomes of a program: "caught" by a test that fails, by one that does not end ("stopped"), or "survives"."""
    process = SERVER.Process(target=run_tests, args=(tree, tests))
    process.start()
    process.join(timeout)
    if process.exitcode is None:
        process.kill()
        process.join()
        return "stopped"
    return "survives" if process.exitcode == 0 else "caught"


class Trees:
    """Copies of the tree, one for each job, and how many seconds each file of tests takes when nothing is changed."""

    def __init__(self, folder: Path, jobs: int) -> None:
        self.free: SimpleQueue[Path] = SimpleQueue()
        self.seconds: dict[str, float] = {}
        for job in range(jobs):
            tree = folder / str(job)
            for part in ("refimpl", "tests"):
                shutil.copytree(ROOT / part, tree / part, ignore=shutil.ignore_patterns("__pycache__"))
            shutil.copy(ROOT / "pyproject.toml", tree)
            self.free.put(tree)

    def check(self, tests: str) -> None:
        """Tests that fail without any change would catch everything."""
        tree, began = self.free.get(), time.monotonic()
        if fate(tree, (tests,)) != "survives":
            raise SystemExit(f"tests/{tests} fails without any change:\n{(tree / 'output').read_text()}")
        self.seconds[tests] = time.monotonic() - began
        self.free.put(tree)

    def fate(self, mutant: Mutant) -> str:
        tree, tests = self.free.get(), tests_of(mutant.path)
        target = tree / mutant.path
        whole = target.read_bytes()
        target.write_text(mutant.source())
        try:
            return fate(tree, tests, timeout=60 + 5 * sum(self.seconds[name] for name in tests))
        finally:
            target.write_bytes(whole)
            self.free.put(tree)


def equivalent(every: list[Mutant]) -> set[str]:
    """The names in mutants.toml, each of which there must be."""
    groups = tomllib.loads((ROOT / "tests" / "mutants.toml").read_text())["equivalent"]
    named = {name for group in groups for name in group["mutants"]}
    if unknown := named - {mutant.name for mutant in every}:
        raise SystemExit("mutants.toml names mutants that there are not:\n" + "\n".join(sorted(unknown)))
    return named


def drawn(paths: list[str], seed: int, sample: int) -> list[Mutant]:
    """The first of a seeded order of all mutants of these paths that could be noticed."""
    files = [file for name in FILES for file in _files(ROOT / "refimpl" / name)]
    every = [mutant for file in files for mutant in mutants(file)]
    same, wanted = equivalent(every), {file for path in paths for file in _files(ROOT / path)}
    found = [mutant for mutant in every if ROOT / mutant.path in wanted and mutant.name not in same]
    return sorted(found, key=lambda mutant: mutant.rank(seed))[:sample]


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else sorted(path.rglob("*.py"))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("paths", nargs="*", default=["refimpl"], help="files or folders, of those below")
    parser.add_argument("--sample", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument(
        "--log", type=Path, help="a line for each mutant; those that it says are caught are not tried again"
    )
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    chosen = drawn(options.paths, options.seed, options.sample)
    if options.list:
        print("\n".join(mutant.name for mutant in chosen))
        return 0
    fates: dict[str, str] = {}
    if options.log and options.log.exists():
        fates = {line["mutant"]: line["fate"] for line in map(json.loads, options.log.read_text().splitlines())}
    untried = [mutant for mutant in chosen if fates.get(mutant.name, "survives") == "survives"]
    os.environ |= dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    SERVER.set_forkserver_preload(PRELOADED)
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(options.jobs) as pool:
        trees = Trees(Path(folder), options.jobs)
        list(pool.map(trees.check, sorted({name for mutant in untried for name in tests_of(mutant.path)})))
        running = {pool.submit(trees.fate, mutant): mutant for mutant in untried}
        for number, done in enumerate(as_completed(running), start=1):
            mutant = running[done]
            fates[mutant.name] = end = done.result()
            if end == "survives":
                print(f"survives: line {mutant.line}, {mutant.name}", flush=True)
            if options.log:
                with options.log.open("a") as log:
                    log.write(json.dumps({"mutant": mutant.name, "line": mutant.line, "fate": end}) + "\n")
            if number % 20 == 0:
                print(f"{number}/{len(untried)} tried", file=sys.stderr, flush=True)
    alive = [mutant for mutant in chosen if fates[mutant.name] == "survives"]
    print(f"{len(alive)} of {len(chosen)} mutants survive, {100 * len(alive) / max(len(chosen), 1):.1f} %")
    return int(len(alive) > 0.03 * len(chosen))


if __name__ == "__main__":
    sys.exit(main())
