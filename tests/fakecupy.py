"""CuPy's refusals over NumPy, and a count of what would have waited for the device.

Like CuPy it does not turn into a NumPy array by itself, does not mix with NumPy arrays or NumPy scalars, returns 0-d
arrays from reductions. Unlike CuPy it needs no GPU, and its results are NumPy's to the bit. array-api-compat takes it
for CuPy: its own functions run here, so that what they wait for is counted.
"""

import importlib
import sys
from types import ModuleType, SimpleNamespace
from typing import Any, Self

import numpy as np

from refimpl.backend import CuPyNamespace

SYNCS: list[str] = []
"""What CuPy would have waited for."""
UPLOADS: list[tuple[int, ...]] = []
"""The shapes of the arrays that came from the host."""
LAUNCHES: list[str] = []
"""What CuPy would have launched a kernel for, or more; views are not among them."""
VIEWS = ("reshape", "matrix_transpose", "broadcast_to", "swapaxes", "transpose", "moveaxis", "broadcast_shapes")


class FakeArray:
    """An array on a device that is not there."""

    held = 0
    """Bytes of all arrays there are; what views share counts for each."""

    def __init__(self, host: Any) -> None:
        self._host = np.asarray(host)
        self._bytes = self._host.nbytes
        FakeArray.held += self._bytes

    def __del__(self) -> None:
        FakeArray.held -= self._bytes

    @property
    def dtype(self) -> np.dtype:
        return self._host.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        return self._host.shape

    @property
    def ndim(self) -> int:
        return self._host.ndim

    @property
    def device(self) -> str:
        return "fake:0"

    @property
    def T(self) -> "FakeArray":
        return FakeArray(self._host.T)

    def __array_namespace__(self, api_version: str | None = None) -> Any:
        return compat

    def astype(self, dtype: Any, copy: bool = True) -> "FakeArray":
        return FakeArray(self._host.astype(dtype, copy=copy))

    def max(self, axis: int | None = None, keepdims: bool = False) -> "FakeArray":
        LAUNCHES.append("max")
        return FakeArray(self._host.max(axis=axis, keepdims=keepdims))

    def get(self) -> np.ndarray:
        SYNCS.append("get")
        return self._host.copy()

    def __array__(self, *arguments: Any, **options: Any) -> np.ndarray:
        raise TypeError("Implicit conversion to a NumPy array is not allowed")

    def __len__(self) -> int:
        return len(self._host)

    def __getitem__(self, key: Any) -> "FakeArray":
        return FakeArray(self._host[_index(key)])

    def __setitem__(self, key: Any, value: Any) -> None:
        LAUNCHES.append("setitem")
        self._host[_index(key)] = _inside(value)


def _inside(value: Any) -> Any:
    """The NumPy array within; refuses what CuPy refuses."""
    if isinstance(value, FakeArray):
        return value._host
    if isinstance(value, np.ndarray | np.generic):
        raise TypeError(f"Unsupported type {type(value)}")
    if isinstance(value, list | tuple):
        return type(value)(_inside(item) for item in value)
    return value


def _outside(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return FakeArray(value)
    if isinstance(value, tuple):
        return tuple(_outside(item) for item in value)
    return value


def _index(key: Any) -> Any:
    if isinstance(key, FakeArray) and key.dtype == bool:
        SYNCS.append("mask")
    return _inside(key)


def _operator(name: str) -> Any:
    def apply(self: FakeArray, *others: Any) -> Any:
        LAUNCHES.append(name)
        return _outside(getattr(self._host, name)(*(_inside(other) for other in others)))

    return apply


def _in_place(name: str) -> Any:
    def apply(self: FakeArray, other: Any) -> FakeArray:
        LAUNCHES.append(name)
        self._host = getattr(self._host, name)(_inside(other))
        return self

    return apply


def _waits(name: str) -> Any:
    def convert(self: FakeArray) -> Any:
        SYNCS.append(name)
        return getattr(self._host, name)()

    return convert


for _name in ("add", "sub", "mul", "truediv", "floordiv", "pow", "matmul", "mod", "and", "or", "xor"):
    setattr(FakeArray, f"__{_name}__", _operator(f"__{_name}__"))
    setattr(FakeArray, f"__r{_name}__", _operator(f"__r{_name}__"))
for _name in ("__iadd__", "__isub__", "__imul__"):
    setattr(FakeArray, _name, _in_place(_name))
for _name in ("neg", "abs", "invert", "eq", "ne", "lt", "le", "gt", "ge"):
    setattr(FakeArray, f"__{_name}__", _operator(f"__{_name}__"))
for _name in ("__float__", "__int__", "__bool__", "__index__"):
    setattr(FakeArray, _name, _waits(_name))


class _Device:
    """The one there is, made the current one in a `with` block."""

    def __init__(self, number: Any = None) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        pass


class _Module(ModuleType):
    """A module of CuPy: the functions of one of NumPy, on fake arrays."""

    def __init__(self, name: str, module: ModuleType) -> None:
        super().__init__(name)
        self.__all__ = [name for name in module.__all__ if not isinstance(getattr(module, name), ModuleType)]
        self._module = module

    def __getattr__(self, name: str) -> Any:
        target = getattr(self._module, name)
        if not callable(target) or isinstance(target, type):
            return target

        def call(*arguments: Any, **options: Any) -> Any:
            LAUNCHES.extend([name] if name not in VIEWS else [])
            options.pop("device", None)
            inside = [_inside(argument) for argument in arguments]
            return _outside(target(*inside, **{key: _inside(option) for key, option in options.items()}))

        return call


class _CuPy(_Module):
    """The module `cupy` itself."""

    ndarray = FakeArray

    def __init__(self) -> None:
        super().__init__("cupy", np)
        self.linalg, self.fft = _Module("cupy.linalg", np.linalg), _Module("cupy.fft", np.fft)
        self.cuda = ModuleType("cupy.cuda")
        self.cuda.device = ModuleType("cupy.cuda.device")
        self.cuda.Device = self.cuda.device.Device = _Device

    @staticmethod
    def finfo(dtype: Any) -> SimpleNamespace:
        """In numbers of Python, as no scalar of NumPy is let in here."""
        known = np.finfo(dtype)
        return SimpleNamespace(bits=known.bits, eps=float(known.eps), max=float(known.max), tiny=float(known.tiny))

    @staticmethod
    def asarray(x: Any, dtype: Any = None, **options: Any) -> FakeArray:
        """The upload: the one way in for NumPy arrays."""
        if isinstance(x, np.ndarray):
            UPLOADS.append(x.shape)
        return FakeArray(np.asarray(x._host if isinstance(x, FakeArray) else x, dtype=dtype))


def _compat() -> ModuleType:
    """`array_api_compat.cupy` on the mock; that on CuPy itself, where there is one, stays what it is."""
    package = importlib.import_module("array_api_compat")
    kept = _taken_out()
    modules = (cupy, cupy.linalg, cupy.fft, cupy.cuda, cupy.cuda.device)
    sys.modules.update({module.__name__: module for module in modules})
    try:
        return importlib.import_module("array_api_compat.cupy")
    finally:
        _taken_out()
        sys.modules.update(kept)
        vars(package).pop("cupy", None)
        if "array_api_compat.cupy" in kept:
            package.cupy = kept["array_api_compat.cupy"]


def _taken_out() -> dict[str, ModuleType]:
    """The modules of CuPy and of array-api-compat for it, no longer known to the interpreter."""
    names = [name for name in sys.modules if f"{name}.".startswith(("cupy.", "array_api_compat.cupy."))]
    return {name: sys.modules.pop(name) for name in names}


cupy = _CuPy()
compat = _compat()
xp = CuPyNamespace(cupy, compat)
