"""Arrays in, the same arrays out.

A function that receives an array asks `namespace(x)` for the module that array belongs to and works in it, so
one source serves NumPy, CuPy and, in the tests, a mock of CuPy. A function that receives no array
(an initialiser, a loader, a clock) takes a `Backend`. This file alone imports CuPy, and it alone copies
from the device to the host.
"""

import functools
import importlib
import math
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import array_api_compat
import numpy as np
from jaxtyping import Float
from threadpoolctl import threadpool_info

from .errors import BackendError, UsageError

Array = Any
Params = dict[str, Float[Array, "..."]]

OLDEST = (14, 2)
"""Of CuPy: before it the sign of nan was zero, so that what failed could look as if it had not."""

EXTRAS = "`pip install 'refimpl[cuda12]'` (CUDA 12 driver) or `pip install 'refimpl[cuda13]'` (CUDA 13)"

# Looked up on every call of every primitive: a dictionary costs 0.07 µs, array_namespace 1.7 µs.
_NAMESPACES: dict[type, Any] = {np.ndarray: np, np.float32: np, np.float64: np}
_HOST_COPIES: dict[type, Callable[[Array], np.ndarray]] = {np.ndarray: lambda x: x}


class CuPyNamespace:
    """`array_api_compat.cupy` with CuPy's own `sign` and `clip`, which keep nan, `sign` since version `OLDEST`.

    Those of the compat layer put nan back through a boolean mask, and for the size of what a mask selects CuPy waits
    for the device.
    """

    def __init__(self, cupy: Any, compat: Any) -> None:
        self._compat = compat
        self.sign, self.clip = cupy.sign, cupy.clip

    def __getattr__(self, name: str) -> Any:
        return getattr(self._compat, name)


@functools.cache
def _cupy_namespace() -> CuPyNamespace:
    return CuPyNamespace(importlib.import_module("cupy"), importlib.import_module("array_api_compat.cupy"))


def namespace(x: Array) -> Any:
    """The array module of `x`: `numpy`, a `CuPyNamespace`, or whatever else implements the standard."""
    kind = type(x)
    if kind not in _NAMESPACES:
        try:
            module = array_api_compat.array_namespace(x)
        except TypeError:
            raise UsageError(f"expected an array, got {kind.__name__}") from None
        _NAMESPACES[kind] = _cupy_namespace() if array_api_compat.is_cupy_namespace(module) else module
    return _NAMESPACES[kind]


def to_host(x: Array) -> np.ndarray:
    """`x` as a NumPy array. On a GPU this waits for the device: call it once an epoch, never once a batch."""
    copy = _HOST_COPIES.get(type(x))
    if copy is None:
        return np.asarray(array_api_compat.to_device(x, "cpu"))
    return copy(x)


def fetch(tree: Any) -> Any:
    """A nested dict or list of numbers, arrays on the device among them, with all of these on the host in one copy.

    A scalar becomes a float; what is no array stays as it is.
    """
    arrays: list[Array] = []
    tree = _collected(tree, arrays, [0])
    if not arrays:
        return tree
    xp = namespace(arrays[0])
    return _filled(tree, to_host(xp.concat([xp.reshape(array, (-1,)) for array in arrays])))


@dataclass(frozen=True)
class _Slot:
    """The place of an array among the numbers fetched."""

    start: int
    shape: tuple[int, ...]

    def of(self, numbers: np.ndarray) -> Any:
        if not self.shape:
            return float(numbers[self.start])
        return numbers[self.start : self.start + math.prod(self.shape)].reshape(self.shape)


def _collected(node: Any, arrays: list[Array], ends: list[int]) -> Any:
    """The tree with a slot in place of each array; these, and where each ends among all numbers, in lists.

    No closure of `fetch`: one that calls itself would hold the arrays until Python looks for cycles.
    """
    if isinstance(node, dict):
        return {key: _collected(value, arrays, ends) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [_collected(value, arrays, ends) for value in node]
    if hasattr(node, "dtype"):
        arrays.append(node)
        ends.append(ends[-1] + math.prod(node.shape))
        return _Slot(ends[-2], tuple(node.shape))
    return node


def _filled(node: Any, numbers: np.ndarray) -> Any:
    if isinstance(node, dict):
        return {key: _filled(value, numbers) for key, value in node.items()}
    if isinstance(node, list):
        return [_filled(value, numbers) for value in node]
    return node.of(numbers) if isinstance(node, _Slot) else node


def like(host: np.ndarray, x: Array, dtype: Any = None) -> Array:
    """The host array `host` where `x` lives, with `x`'s dtype unless another is given."""
    return namespace(x).asarray(host, dtype=x.dtype if dtype is None else dtype, device=array_api_compat.device(x))


class Chunks(NamedTuple):
    """How many examples are worked on at a time: what the cache of a CPU holds, or what keeps a GPU busy.

    `dense` and `convolutional` are attacked, in nets of these layers; `scored` go through a net; of `measured` every
    layer is kept; `paired` are on a side of a block of distances between all pairs.
    """

    dense: int
    convolutional: int
    scored: int
    measured: int
    paired: int

    def attacked(self, params: Params) -> int:
        """In the net of these parameters; a convolution, or a net that keeps its own, makes many numbers of each."""
        dense = params and all(len(p.shape) < 4 for p in params.values())
        return self.dense if dense else self.convolutional


ON_CPU = Chunks(dense=256, convolutional=256, scored=1000, measured=250, paired=256)
ON_GPU = Chunks(dense=10_000, convolutional=1000, scored=4000, measured=4000, paired=4096)


def chunks(x: Array) -> Chunks:
    """Those that suit where `x` lives."""
    return ON_CPU if namespace(x) is np else ON_GPU


@dataclass(frozen=True)
class Backend:
    """An array module and a device, chosen once, at the edge of the program."""

    name: str
    xp: Any
    device: Any

    @property
    def chunks(self) -> Chunks:
        return ON_CPU if self.xp is np else ON_GPU

    @property
    def device_kind(self) -> str:
        """ "cpu" or "cuda", as other libraries call it."""
        return "cuda" if self.name == "cupy" else "cpu"

    def asarray(self, host: np.ndarray, dtype: Any = None) -> Array:
        return self.xp.asarray(host, dtype=None if dtype is None else self.dtype(dtype), device=self.device)

    def dtype(self, name: str) -> Any:
        return getattr(self.xp, name)

    def synchronize(self) -> None:
        """Wait until the device has done all it was given. Timings need it; nothing else does."""
        if self.name == "cupy":
            self.xp.cuda.get_current_stream().synchronize()

    @contextmanager
    def without_waiting(self) -> Iterator[None]:
        """A RuntimeError where the body waits for the device, as far as CuPy notices; on NumPy nothing waits."""
        if self.name != "cupy":
            yield
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # CuPy's own: it may miss a wait of a library that it calls
            forbidden = importlib.import_module("cupyx").allow_synchronize(False)
            with forbidden:
                yield

    def memory_in_use(self) -> int | None:
        """Bytes of the device that arrays hold; None on NumPy, which does not count them."""
        if self.name != "cupy":
            return None
        used: int = importlib.import_module("cupy").get_default_memory_pool().used_bytes()
        return used


def backend(name: str = "auto", *, small: bool = False) -> Backend:
    """The backend called `name`: "numpy", "cupy", or "auto", CuPy where it works unless the work is `small`.

    Raises `BackendError` with the reason and the remedy when CuPy is asked for and cannot be had.
    """
    if name not in ("numpy", "cupy", "auto"):
        raise UsageError(f"unknown backend {name!r}: choose numpy, cupy or auto")
    if name == "numpy" or (name == "auto" and small):
        return Backend("numpy", np, "cpu")
    trouble = cupy_trouble()
    if not trouble:
        xp = _cupy_namespace()
        return Backend("cupy", xp, xp.cuda.Device())
    if name == "cupy":
        raise BackendError(trouble)
    return Backend("numpy", np, "cpu")


BREAK_EVEN = 1e7
"""Weights times examples of a training step from which on a GPU is thought faster than NumPy on one thread.

An estimate, measured on no GPU: a step of the paper's fully connected net is about 75 kernels, 0.6 to 1.1
ms at 8 to 15 microseconds a launch, whatever its size; NumPy takes 0.2 ms for its 17,400 weights and 128 examples.
"""


def is_small(params: Params, batch_size: int) -> bool:
    """Whether NumPy is thought faster at training a net, or a stack of nets, of these parameters.

    Never where there is a convolution, which uses each of its weights at hundreds of places: 11 ms on NumPy for the
    paper's net, and by the same estimate 1.4 to 2.5 ms on a GPU.
    """
    if any(len(p.shape) == 4 for p in params.values()):
        return False
    return batch_size * sum(math.prod(p.shape) for p in params.values()) < BREAK_EVEN


def cupy_trouble() -> str | None:
    """Why CuPy cannot be used here, in one sentence that names the remedy; None where it can."""
    try:
        cupy = importlib.import_module("cupy")
    except Exception as error:  # of many kinds, where a library that CuPy loads is missing or of another version
        if isinstance(error, ModuleNotFoundError) and error.name == "cupy":
            return f"CuPy is not installed: {EXTRAS} installs it, `--backend numpy` does without"
        return f"CuPy is installed but cannot be imported ({_reason(error)}): reinstall it, {EXTRAS}"
    if tuple(map(int, cupy.__version__.split(".")[:2])) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        return f"CuPy {cupy.__version__} is installed and {oldest} is needed: {EXTRAS} installs it"
    if not cupy.cuda.is_available():
        return (
            f"CuPy {cupy.__version__} is installed but finds no CUDA device: check `nvidia-smi`, and that the extra"
            f" matches the driver, {EXTRAS}; `--backend numpy` does without"
        )
    found = f"CuPy {cupy.__version__} finds a device"
    try:
        _probe(cupy)
    except MemoryError as error:
        others = "`nvidia-smi` lists the programs that use it, `--backend numpy` does without"
        return f"{found} without free memory ({_reason(error)}): {others}"
    except Exception as error:
        return f"{found} but cannot compute on it ({_reason(error)}): reinstall it, {EXTRAS}"
    return None


def _probe(cupy: Any) -> None:
    """Compile a kernel, multiply by cuBLAS and decompose by cuSOLVER: a library that is missing fails where it is used.

    What is raised then depends on what is missing, an error of the compiler, of the loader or of CuPy's own checks.
    """
    cupy.matmul(cupy.ones((2, 2)), cupy.ones((2, 2))).sum().item()
    cupy.linalg.svd(cupy.eye(2))[1].sum().item()


def _reason(error: BaseException) -> str:
    """The first line that an error says, or that it was raised from; its name where it says nothing."""
    error = error.__cause__ or error
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def numpy_kernel() -> str | None:
    """The kernel of the OpenBLAS that NumPy multiplies with, `SkylakeX` say; SciPy brings another OpenBLAS.

    None where NumPy's BLAS does not tell, or cannot be told from others.
    """
    pools = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
    bundled = str(Path(np.__file__).resolve().parent)  # in numpy.libs beside it, or in numpy/.dylibs
    own = [pool for pool in pools if str(Path(pool["filepath"]).resolve()).startswith(bundled)]
    own = own or (pools if len(pools) == 1 else [])
    return own[0].get("architecture") if own else None


def describe_gpu() -> dict[str, str]:
    """The current device, its driver and libraries, for the record. Only where `cupy_trouble()` is None.

    `cuda_runtime` is the library that is installed, not the one that CuPy was built with. `cupy_tf32`, CuPy's
    environment variable, takes 13 bits from every product in float32 unless it is "0" or empty.
    """
    cupy = importlib.import_module("cupy")
    cuda = cupy.cuda
    return {
        "gpu": cuda.runtime.getDeviceProperties(cuda.Device().id)["name"].decode(),
        "cupy": cupy.__version__,
        "cuda_driver": str(cuda.runtime.driverGetVersion()),
        "cuda_runtime": _version(cuda.get_local_runtime_version),
        "cublas": _version(lambda: cuda.cublas.getVersion(cuda.get_cublas_handle())),
        "cusolver": _version(lambda: cuda.cusolver._getVersion()),
        "cupy_tf32": os.environ.get("CUPY_TF32", ""),
    }


def _version(read: Callable[[], int | tuple[int, ...]]) -> str:
    """A library's version; why it does not tell, which is no reason to stop."""
    try:
        version = read()
    except Exception as error:
        return f"unknown: {_reason(error)}"
    return ".".join(map(str, version)) if isinstance(version, tuple) else str(version)


OUT_OF_MEMORY = ("cudaErrorMemoryAllocation", "CUDA_ERROR_OUT_OF_MEMORY", "STATUS_ALLOC_FAILED")
"""What CUDA's runtime, its driver and its libraries say where CuPy raises another error than its own."""


def out_of_memory(error: BaseException) -> str | None:
    """What to do, in one sentence, about an error that says that memory is short; None for another error."""
    of_cupy = type(error).__module__.startswith("cupy")
    if isinstance(error, MemoryError) and not of_cupy:
        return f"there is not enough memory: {error}; a smaller network, batch or data set needs less"
    if isinstance(error, MemoryError) or any(sign in str(error) for sign in OUT_OF_MEMORY):
        remedy = "fewer examples, a smaller batch or network need less, `--backend numpy` needs none"
        return f"the GPU has not enough memory ({_reason(error)}): {remedy}, and `nvidia-smi` lists who else uses it"
    return None
