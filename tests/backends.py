"""The backends every kernel is tested on, without a GPU and with one."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import array_api_strict
import fakecupy
import numpy as np
import pytest

from refimpl import backend as numpy_or_cupy
from refimpl.backend import _HOST_COPIES, _NAMESPACES, Backend, cupy_trouble, to_host

_NAMESPACES[fakecupy.FakeArray] = fakecupy.xp
_HOST_COPIES[fakecupy.FakeArray] = lambda x: x.get()

_CPU = array_api_strict.Device("CPU_DEVICE")
_HOST_COPIES[type(array_api_strict.asarray(0.0))] = lambda x: np.asarray(x.to_device(_CPU))


class FakeBackend(Backend):
    """The mock of CuPy, which notices every wait and counts every array."""

    @contextmanager
    def without_waiting(self) -> Iterator[None]:
        fakecupy.SYNCS.clear()
        yield
        if fakecupy.SYNCS:
            raise RuntimeError(f"waited for the device: {', '.join(fakecupy.SYNCS)}")

    def memory_in_use(self) -> int:
        return fakecupy.FakeArray.held


STRICT = Backend("strict", array_api_strict, array_api_strict.Device("device1"))
FAKE = FakeBackend("fakecupy", fakecupy.xp, "fake:0")
NUMPY = numpy_or_cupy("numpy")


class TestBackend(NamedTuple):
    """A backend and the dtype it is tested in."""

    __test__ = False

    backend: Backend
    dtype: str

    def array(self, host, dtype=None):
        return self.backend.asarray(np.asarray(host), dtype or self.dtype)

    def host(self, x) -> np.ndarray:
        return to_host(x)

    @property
    def tolerance(self) -> float:
        """A few hundred roundings."""
        return 300 * float(np.finfo(self.dtype).eps)


def _case(name: str, backend: Backend, dtype: str, *marks):
    return pytest.param(TestBackend(backend, dtype), id=f"{name}-{dtype}", marks=marks)


BACKENDS = [
    _case("numpy", NUMPY, "float64"),
    _case("numpy", NUMPY, "float32"),
    _case("strict-device1", STRICT, "float32"),
    _case("strict-cpu", Backend("strict", array_api_strict, _CPU), "float64"),
    _case("fakecupy", FAKE, "float32"),
]
if not cupy_trouble():
    BACKENDS.append(_case("cupy", numpy_or_cupy("cupy"), "float32", pytest.mark.gpu))
    BACKENDS.append(_case("cupy", numpy_or_cupy("cupy"), "float64", pytest.mark.gpu))
