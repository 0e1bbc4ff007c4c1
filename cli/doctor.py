"""refimpl doctor"""

from pathlib import Path
from typing import Any

import click

from refimpl.backend import backend as make_backend
from refimpl.backend import cupy_trouble, describe_gpu
from refimpl.data import REGISTRY, places
from refimpl.device import CHECKS, run_checks
from refimpl.errors import UsageError, VerdictError
from refimpl.runs.manifest import environment, kernel_remark

from . import options
from .console import Bar, count, report, table


@click.command()
@click.option("--gpu", is_flag=True, help="Check that CuPy computes on the GPU what NumPy computes.")
@options.data_dir()
@options.as_json()
def doctor(gpu: bool, data_dir: Path | None, as_json: bool) -> None:
    """Show in one screen what refimpl runs on: Python, packages, BLAS, the GPU, the data.

    With --gpu the exit code is 2 where there is no GPU to compute on, 5 where a check fails.
    """
    if gpu:
        if data_dir:
            raise UsageError("--gpu checks made-up numbers: it takes no --data-dir")
        _check_gpu(as_json)
        return
    trouble = cupy_trouble()
    facts: dict[str, Any] = {
        **environment("numpy"),
        "kernel_remark": kernel_remark(),
        "gpu": describe_gpu() if trouble is None else None,
        "gpu_trouble": trouble,
        "data": {
            name: [
                {"label": place.label, "path": str(place.path), "found": place.present}
                for place in places(name, data_dir)
            ]
            for name in REGISTRY
        },
    }
    if as_json:
        report(facts)
    else:
        table(("what", "found"), [*_machine(facts), *_data(facts)], words=2)


def _check_gpu(as_json: bool) -> None:
    """The checks of `refimpl.device`, on the current device. Raises `VerdictError` where one fails."""
    backend = make_backend("cupy")
    facts, outcomes = describe_gpu(), []
    with Bar(f"checks on {facts['gpu']}", len(CHECKS.names()), "checks") as bar:
        for done, outcome in enumerate(run_checks(backend), start=1):
            outcomes.append(outcome)
            bar.update(done, outcome.name)
    if as_json:
        report({"gpu": facts, "checks": [vars(outcome) for outcome in outcomes]})
    else:
        columns = ("check", "passed", "found", "seconds")
        rows = [(one.name, "yes" if one.passed else "NO", one.said, f"{one.seconds:.1f}") for one in outcomes]
        table(columns, rows, words=3)
    failed = [outcome.name for outcome in outcomes if not outcome.passed]
    if failed:
        raise VerdictError(
            f"{len(failed)} of {count(len(outcomes), 'check')} failed on {facts['gpu']}: {', '.join(failed)};"
            " CUDA_LAUNCH_BLOCKING=1 shows which call an error of CUDA belongs to"
        )


def _machine(facts: dict[str, Any]) -> list[tuple[str, str]]:
    git = facts["git"]
    source = f"commit {git['commit'][:12]}{', changed since' if git['dirty'] else ''}" if git else "installed package"
    gpu = facts["gpu"]
    usable = f"no: {facts['gpu_trouble']}"
    if gpu:
        libraries = f"CUDA {gpu['cuda_runtime']}, cuBLAS {gpu['cublas']}, cuSOLVER {gpu['cusolver']}"
        usable = f"{gpu['gpu']}, CuPy {gpu['cupy']}, {libraries}; `refimpl doctor --gpu` checks what it computes"
    return [
        ("python", facts["python"]),
        ("platform", facts["platform"]),
        ("processor", f"{facts['processor']}, {facts['cores']} cores"),
        *facts["packages"].items(),
        *[("blas", f"{b['internal_api']} {b['version']} ({b['architecture']})") for b in facts["blas"]],
        ("numpy's kernel", facts["kernel_remark"] or facts["numpy_kernel"] or "not named by its BLAS"),
        ("source", source),
        ("gpu", usable),
    ]


def _data(facts: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        (name, f"{'found' if place['found'] else 'not'} in {place['path']} ({place['label']})")
        for name, looked in facts["data"].items()
        for place in looked
    ]
