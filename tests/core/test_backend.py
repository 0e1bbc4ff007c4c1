"""The backend: what goes in comes out, and what cannot be had says why in one sentence."""

import builtins
import sys
import types

import array_api_strict
import fakecupy
import numpy as np
import pytest
from backends import FAKE, NUMPY, STRICT
from numpy.testing import assert_array_equal

from refimpl import BackendError, UsageError, namespace
from refimpl.backend import _NAMESPACES, backend, cupy_trouble, like, to_host


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


def without_cupy(monkeypatch):
    real = builtins.__import__

    def refuse(name, *arguments, **options):
        if name.split(".")[0] == "cupy":
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", refuse)


def with_cupy(monkeypatch, available, matmul=None):
    fake = types.ModuleType("cupy")
    fake.__version__ = "14.2.0"
    fake.cuda = types.SimpleNamespace(is_available=lambda: available)
    fake.ones = np.ones
    fake.matmul = matmul or np.matmul
    monkeypatch.setitem(sys.modules, "cupy", fake)


def broken(*arguments):
    raise RuntimeError("libcublas.so.12: cannot open shared object file\nand more")


def test_cupy_not_installed_names_the_extras(monkeypatch):
    without_cupy(monkeypatch)
    with pytest.raises(BackendError, match=r"not installed.*refimpl\[cuda12\].*refimpl\[cuda13\]"):
        backend("cupy")
    assert backend("auto").name == "numpy"


@pytest.mark.parametrize(
    ("available", "matmul", "reason"),
    [(False, None, "finds no CUDA device"), (True, broken, "cannot compute.*libcublas")],
)
def test_cupy_without_a_working_device_names_the_reason_and_the_extras(monkeypatch, available, matmul, reason):
    with_cupy(monkeypatch, available, matmul)
    with pytest.raises(BackendError, match=rf"14\.2\.0.*{reason}.*refimpl\[cuda12\].*refimpl\[cuda13\]") as caught:
        backend("cupy")
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2
    assert backend("auto").name == "numpy"


def test_cupy_that_works_is_no_trouble(monkeypatch):
    with_cupy(monkeypatch, True)
    assert cupy_trouble() is None


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
