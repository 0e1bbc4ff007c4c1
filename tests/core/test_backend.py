"""The backend: what goes in comes out, and what cannot be had says why in one sentence."""

import functools
import importlib
import sys
import types

import array_api_strict
import fakecupy
import numpy as np
import pytest
from backends import FAKE, NUMPY, STRICT
from numpy.testing import assert_array_equal

from refimpl import BackendError, UsageError, namespace
from refimpl.backend import (
    _NAMESPACES,
    backend,
    cupy_trouble,
    describe_gpu,
    is_small,
    like,
    out_of_memory,
    to_host,
)
from refimpl.networks import CNN, FCNN
from refimpl.parameters import stacked
from refimpl.runs.config import Config


def test_the_namespace_follows_the_array():
    assert namespace(np.zeros(2)) is np
    assert namespace(np.float32(0)) is np
    assert namespace(array_api_strict.zeros(2)) is array_api_strict
    assert namespace(FAKE.asarray(np.zeros(2))) is fakecupy.xp


def test_what_is_no_array_is_refused_by_name():
    with pytest.raises(UsageError, match="expected an array, got str"):
        namespace("x")


@pytest.mark.parametrize("be", [NUMPY, STRICT, FAKE], ids=lambda be: be.name)
def test_there_and_back(be):
    host = np.arange(6.0).reshape(2, 3)
    there = be.asarray(host, "float32")
    assert namespace(there) is be.xp
    back = to_host(there)
    assert back.dtype == np.float32
    assert_array_equal(back, host)


def test_like_follows_device_and_dtype():
    x = STRICT.asarray(np.zeros(2), "float32")
    y = like(np.ones(3), x)
    assert y.device == x.device
    assert y.dtype == x.dtype


def test_synchronize_has_nothing_to_wait_for_on_numpy():
    NUMPY.synchronize()


def test_an_unknown_name_is_refused():
    with pytest.raises(UsageError, match="choose numpy, cupy or auto"):
        backend("torch")


class FakeCuPy:
    """As much of CuPy as the probe and the description of a device ask for, with one function replaced."""

    __version__ = "14.2.0"
    ones, eye, matmul = staticmethod(np.ones), staticmethod(np.eye), staticmethod(np.matmul)

    def __init__(self, available=True, **replaced):
        libraries = {
            "cublas": types.SimpleNamespace(getVersion=lambda handle: 120_900 + handle),
            "cusolver": types.SimpleNamespace(_getVersion=lambda: (11, 7, 5)),
        }
        self.linalg = types.SimpleNamespace(svd=np.linalg.svd)
        self.cuda = types.SimpleNamespace(
            is_available=lambda: available,
            Device=lambda: types.SimpleNamespace(id=3),
            get_cublas_handle=lambda: 4,
            get_local_runtime_version=lambda: 12_080,
            runtime=types.SimpleNamespace(
                getDeviceProperties=lambda number: {"name": f"GPU {number}".encode()}, driverGetVersion=lambda: 13_000
            ),
            **libraries,
        )
        self.__version__ = replaced.pop("__version__", self.__version__)
        for name, function in replaced.items():
            *above, last = name.split("__")
            setattr(functools.reduce(getattr, above, self), last, function)


def importing(monkeypatch, found):
    """`import cupy` gives this, or raises it."""
    real = importlib.import_module

    def import_module(name, package=None):
        if name != "cupy":
            return real(name, package)
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(importlib, "import_module", import_module)


def raising(error):
    def raise_it(*arguments, **options):
        raise error

    return raise_it


class CompileException(Exception):
    """As CuPy's: an exception of no kind, with lines of a compiler's output."""


def test_cupy_not_installed_names_the_extras(monkeypatch):
    importing(monkeypatch, ModuleNotFoundError("No module named 'cupy'", name="cupy"))
    with pytest.raises(BackendError, match=r"not installed.*refimpl\[cuda12\].*refimpl\[cuda13\]"):
        backend("cupy")
    assert backend("auto").name == "numpy"


def imported_from(cause):
    """CuPy's own words where its import fails, of many lines, the first of them empty."""
    error = ImportError("\n====\nFailed to import CuPy.\n====")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ModuleNotFoundError("No module named 'fastrlock'", name="fastrlock"), "No module named 'fastrlock'"),
        (imported_from(ImportError("libcudart.so.12: cannot open")), "libcudart.so.12: cannot open"),
        (OSError("libnvrtc.so.12: invalid ELF header"), "invalid ELF header"),
        (AttributeError(""), "AttributeError"),
    ],
)
def test_a_broken_install_is_not_called_missing(monkeypatch, error, reason):
    importing(monkeypatch, error)
    trouble = cupy_trouble()
    assert trouble.startswith("CuPy is installed but cannot be imported (")
    assert f"{reason}): reinstall it" in trouble
    assert "not installed" not in trouble
    assert "\n" not in trouble


@pytest.mark.parametrize(
    ("cupy", "reason"),
    [
        (FakeCuPy(available=False), "finds no CUDA device"),
        (FakeCuPy(matmul=raising(RuntimeError("libcublas.so.12: cannot open\nand more"))), "cannot compute.*libcublas"),
        (FakeCuPy(ones=raising(CompileException("\nerror: identifier\n1 error"))), "cannot compute.*identifier"),
        (FakeCuPy(matmul=raising(AttributeError("undefined symbol: cublasX"))), "cannot compute.*undefined symbol"),
        (FakeCuPy(matmul=raising(AssertionError())), r"cannot compute on it \(AssertionError\)"),
        (FakeCuPy(linalg__svd=raising(ImportError("libcusolver.so.11: no such file"))), "cannot compute.*libcusolver"),
    ],
)
def test_cupy_without_a_working_device_names_the_reason_and_the_extras(monkeypatch, cupy, reason):
    importing(monkeypatch, cupy)
    with pytest.raises(BackendError, match=rf"14\.2\.0.*{reason}.*refimpl\[cuda12\].*refimpl\[cuda13\]") as caught:
        backend("cupy")
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2
    assert backend("auto").name == "numpy"


def test_a_device_without_memory_is_no_broken_install(monkeypatch):
    importing(monkeypatch, FakeCuPy(ones=raising(MemoryError("Out of memory allocating 512 bytes"))))
    trouble = cupy_trouble()
    assert "without free memory (Out of memory allocating 512 bytes): `nvidia-smi`" in trouble
    assert "reinstall" not in trouble


@pytest.mark.parametrize(
    ("version", "enough"), [("13.6.0", False), ("14.1.1", False), ("14.2.0", True), ("15.0.0a1", True)]
)
def test_the_sign_of_nan_is_zero_in_older_versions(monkeypatch, version, enough):
    importing(monkeypatch, FakeCuPy(__version__=version))
    assert cupy_trouble() is None if enough else f"CuPy {version} is installed and 14.2 is needed" in cupy_trouble()


def test_cupy_that_works_is_no_trouble(monkeypatch):
    importing(monkeypatch, FakeCuPy())
    assert cupy_trouble() is None


def test_auto_takes_the_device_unless_the_work_is_small(monkeypatch):
    importing(monkeypatch, FakeCuPy())
    namespace_of_cupy = types.SimpleNamespace(cuda=types.SimpleNamespace(Device=lambda: "the current device"))
    monkeypatch.setattr(sys.modules["refimpl.backend"], "_cupy_namespace", lambda: namespace_of_cupy)
    assert backend("auto").name == "cupy"
    assert backend("auto").device == "the current device"
    assert backend("auto", small=True).name == "numpy"
    assert backend("cupy", small=True).name == "cupy"
    assert Config(backend="auto").make_backend().name == "numpy"
    assert Config(backend="auto", batch_size=1024).make_backend().name == "cupy"
    assert Config(backend="auto", network=CNN()).make_backend().name == "cupy"
    assert Config(backend="cupy").make_backend().name == "cupy"


def test_small_is_what_one_thread_does_sooner_than_a_device_is_told():
    paper = FCNN().init(NUMPY)
    assert is_small(paper, 128)
    assert not is_small(FCNN((784, 1000, 10)).init(NUMPY), 128)
    assert not is_small(CNN(filters=(1, 1), hidden_units=1).init(NUMPY), 1)
    assert not is_small(stacked([paper] * 16), 128)


OutOfMemoryError = type("OutOfMemoryError", (MemoryError,), {"__module__": "cupy.cuda.memory"})


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OutOfMemoryError("Out of memory allocating 512 bytes"), "the GPU has not enough memory (Out of memory alloc"),
        (RuntimeError("CUBLAS_STATUS_ALLOC_FAILED"), "the GPU has not enough memory (CUBLAS_STATUS_ALLOC_FAILED"),
        (RuntimeError("cudaErrorMemoryAllocation: out of memory"), "the GPU has not enough memory (cudaErrorMem"),
        (MemoryError("Unable to allocate 5 TiB"), "there is not enough memory: Unable to allocate 5 TiB"),
    ],
)
def test_memory_that_is_short_is_a_line_that_says_what_to_do(error, words):
    said = out_of_memory(error)
    assert said.startswith(words)
    assert "less" in said
    assert "\n" not in said


def test_other_errors_are_not_of_memory():
    assert out_of_memory(RuntimeError("out of luck")) is None


def test_the_current_device_and_the_libraries_installed_are_described(monkeypatch):
    importing(monkeypatch, FakeCuPy())
    monkeypatch.setenv("CUPY_TF32", "1")
    assert describe_gpu() == {
        "gpu": "GPU 3",
        "cupy": "14.2.0",
        "cuda_driver": "13000",
        "cuda_runtime": "12080",
        "cublas": "120904",
        "cusolver": "11.7.5",
        "cupy_tf32": "1",
    }


def test_a_library_that_does_not_tell_its_version_stops_nothing(monkeypatch):
    importing(monkeypatch, FakeCuPy(cuda__get_local_runtime_version=raising(RuntimeError("no libcudart"))))
    assert describe_gpu()["cuda_runtime"] == "unknown: no libcudart"


def test_the_fake_refuses_what_cupy_refuses():
    x = FAKE.asarray(np.ones(3))
    for misuse in (lambda: np.asarray(x), lambda: x + np.ones(3), lambda: x * np.float64(2), lambda: np.sum(x)):
        with pytest.raises(TypeError):
            misuse()
    fakecupy.SYNCS.clear()
    float(fakecupy.xp.sum(x))
    bool(fakecupy.xp.all(x > 0))
    x[x > 0]
    assert fakecupy.SYNCS == ["__float__", "__bool__", "mask"]


def test_sign_and_clip_of_the_compat_layer_wait_and_ours_do_not():
    host = np.array([-2.0, -0.0, 0.0, 3.0, np.nan, np.inf, -np.inf], np.float32)
    x = FAKE.asarray(host)
    fakecupy.SYNCS.clear()
    fakecupy.compat.sign(x)
    assert fakecupy.SYNCS == ["mask"]
    fakecupy.compat.clip(x, -1.0, 1.0)
    assert fakecupy.SYNCS == ["mask"] * 5
    fakecupy.SYNCS.clear()
    xp = namespace(x)
    signs, clipped = xp.sign(x), xp.clip(x, -1.0, 1.0)
    assert fakecupy.SYNCS == []
    assert_array_equal(to_host(signs), np.sign(host))
    assert_array_equal(to_host(clipped), np.clip(host, -1, 1))
    assert xp.astype is fakecupy.compat.astype


def test_arrays_of_cupy_that_no_backend_made_have_the_same_namespace(monkeypatch):
    monkeypatch.setattr(sys.modules["refimpl.backend"], "_cupy_namespace", lambda: fakecupy.xp)
    monkeypatch.delitem(_NAMESPACES, fakecupy.FakeArray)
    assert namespace(fakecupy.FakeArray(np.ones(2))) is fakecupy.xp


@pytest.mark.gpu
@pytest.mark.skipif(cupy_trouble() is not None, reason=f"no GPU: {cupy_trouble()}")
def test_real_cupy_computes():
    be = backend("cupy")
    assert_array_equal(to_host(be.asarray(np.eye(3)) @ be.asarray(np.ones((3, 2)))), np.ones((3, 2)))
    be.synchronize()
