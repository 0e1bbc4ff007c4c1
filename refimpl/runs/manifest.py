"""Where and with what a run was made: versions, hardware, threads, state of the source."""

import importlib.metadata
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_info

from ..backend import cupy_trouble, describe_gpu, numpy_kernel

PACKAGES = ("refimpl", "numpy", "scipy", "array-api-compat", "safetensors")


def environment(backend_name: str) -> dict[str, Any]:
    """Everything about this process and machine that could change a bit of the result."""
    facts = {
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
        "blas": blas(),
        "numpy_kernel": numpy_kernel(),
        "openblas_coretype": os.environ.get("OPENBLAS_CORETYPE"),
        "git": git_state(),
    }
    if backend_name == "cupy" and not cupy_trouble():
        facts |= describe_gpu()
    return facts


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What of two environments differs and could change a bit, in words."""
    device = ("gpu", "cupy", "cuda_runtime", "cublas", "cusolver", "cupy_tf32")
    bits = ("python", "processor", "packages", "blas", "numpy_kernel", *device)
    return [f"{key} {then.get(key)}, now {now.get(key)}" for key in bits if then.get(key) != now.get(key)]


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def blas() -> list[dict[str, Any]]:
    """The BLAS libraries loaded, each with its version, kernel and number of threads."""
    keys = ("internal_api", "version", "architecture", "num_threads")
    found = [{key: pool.get(key) for key in keys} for pool in threadpool_info() if pool["user_api"] == "blas"]
    return sorted(found, key=str)


def kernel_remark() -> str | None:
    """A remark where OPENBLAS_CORETYPE gives NumPy another kernel than this processor gets without it."""
    chosen = os.environ.get("OPENBLAS_CORETYPE")
    if not chosen:
        return None
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_CORETYPE"}
    code = "from refimpl.backend import numpy_kernel; print(numpy_kernel())"
    fresh = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    ours, usual = str(numpy_kernel()), fresh.stdout.strip()
    if ours == usual:
        return None
    return f"OPENBLAS_CORETYPE={chosen} holds NumPy's BLAS to its kernel {ours}; without it this processor gets {usual}"


def processor() -> str:
    """The processor's name where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def git_state() -> dict[str, Any] | None:
    """Commit of the source tree and whether it was changed since; None for an installed package."""
    source = Path(__file__).resolve().parents[2]
    if not (source / ".git").exists():
        return None

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(source), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain"))}
    except (OSError, subprocess.SubprocessError):
        return None
