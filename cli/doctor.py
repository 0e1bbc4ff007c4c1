"""refimpl doctor"""

from pathlib import Path
from typing import Any

import click

from refimpl.backend import cupy_trouble, describe_gpu
from refimpl.data import REGISTRY, places
from refimpl.runs.manifest import environment, kernel_remark

from . import options
from .console import report, table


@click.command()
@options.data_dir()
@options.as_json()
def doctor(data_dir: Path | None, as_json: bool) -> None:
    """Show in one screen what refimpl runs on: Python, packages, BLAS, the GPU, the data."""
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


def _machine(facts: dict[str, Any]) -> list[tuple[str, str]]:
    git = facts["git"]
    source = f"commit {git['commit'][:12]}{', changed since' if git['dirty'] else ''}" if git else "installed package"
    gpu = facts["gpu"]
    usable = f"{gpu['gpu']}, CuPy {gpu['cupy']}, CUDA {gpu['cuda_runtime']}" if gpu else f"no: {facts['gpu_trouble']}"
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
