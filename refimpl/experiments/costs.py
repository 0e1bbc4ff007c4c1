"""What the experiments took, from the manifests of their runs."""

from pathlib import Path
from typing import Any

from ..runs.folder import Run
from .assumptions import ASSUMPTIONS
from .run_experiment import RESULT

SECONDS = 3600


def costs(root: Path) -> list[dict[str, Any]]:
    """A row for each net and assumption with finished runs under `root`: hours of one core, of the clock, and memory.

    Of training and what is monitored in it, not of measuring the trained net. Of runs whose manifest has no CPU time,
    which are counted, it is taken for the clock's times their threads.
    """
    groups = [(arch, name) for arch, names in ASSUMPTIONS.items() for name in names]
    rows = []
    for arch, name in groups:
        runs = [Run(path.parent) for path in sorted((root / f"{arch}-{name}").glob(f"*/{RESULT}"))]
        if runs:
            rows.append({"arch": arch, "assumption": name, **_cost(runs)})
    return rows


def _cost(runs: list[Run]) -> dict[str, Any]:
    manifests = [run.manifest for run in runs]
    estimated = [run for run, manifest in zip(runs, manifests, strict=True) if "cpu_seconds" not in manifest]
    cpu = sum(manifest.get("cpu_seconds", 0.0) for manifest in manifests)
    cpu += sum(run.manifest["seconds"] * run.config.threads for run in estimated)
    peaks = [peak for manifest in manifests if (peak := manifest.get("peak_memory_bytes")) is not None]
    return {
        "runs": len(runs),
        "core_hours": cpu / SECONDS,
        "hours": sum(manifest["seconds"] for manifest in manifests) / SECONDS,
        "estimated": len(estimated),
        "peak_memory_bytes": max(peaks, default=None),
        "processors": sorted({manifest["processor"] for manifest in manifests}),
    }
