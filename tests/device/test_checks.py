"""The checks of a device: each passes on the mock, and fails on one that is broken on purpose."""

import gc
import types

import fakecupy
import numpy as np
import pytest
from backends import FAKE, STRICT

from refimpl import NumericalError
from refimpl.backend import backend, cupy_trouble, fetch
from refimpl.device import CHECKS, check, run_checks
from refimpl.device.check import compare, compare_signs
from refimpl.registry import Registry

LONG = ("attacks", "derivatives", "training", "low-rank training", "stacks", "the same bits", "memory", "no wait")
NAMES = [pytest.param(name, marks=pytest.mark.slow if name in LONG else ()) for name in CHECKS.names()]


@pytest.mark.gpu
@pytest.mark.skipif(cupy_trouble() is not None, reason=f"no GPU: {cupy_trouble()}")
@pytest.mark.parametrize("name", CHECKS.names())
def test_the_device(name):
    CHECKS[name](backend("cupy"))


@pytest.mark.parametrize("name", NAMES)
def test_the_stand_in_passes(name):
    assert CHECKS[name](FAKE)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in CHECKS.names() if name not in LONG or name == "training"])
def test_so_does_another_library(name):
    assert CHECKS[name](STRICT)


KEPT, CALLS = [], []


def drifting(f):
    """Another last bit in every call."""

    def drift(x):
        CALLS.append(1)
        return f(x) * (1 + 1e-6 * (len(CALLS) % 7))

    return drift


def kept(f):
    def keep(x):
        KEPT.append(f(x))
        return KEPT[-1]

    return keep


def scaled(factor):
    return lambda f: lambda *arguments, **options: f(*arguments, **options) * factor


def decomposed(f):
    """The first factor too long."""

    def longer(*arguments, **options):
        first, *others = f(*arguments, **options)
        return first * (1 + 1e-4), *others

    return longer


def without_nan(f):
    return lambda x: fakecupy.FakeArray(np.nan_to_num(f(x)._host))


BREAKS = {
    "a tangent in single precision": ("tanh", scaled(1 + 1e-7), ["passes", "stacked passes", "training", "stacks"]),
    "an exponential in single precision": ("exp", scaled(1 + 1e-7), ["mutual information"]),
    "a sign that loses nan": ("sign", without_nan, ["arrays"]),
    "a sign of the compat layer": ("sign", lambda f: fakecupy.compat.sign, ["no wait"]),
    "a sign the other way": ("sign", scaled(-1), ["attacks", "attacks on weights"]),
    "a largest entry that is the least": ("argmax", lambda f: fakecupy.cupy.argmin, ["fooling ratios"]),
    "an absolute value that is zero": ("abs", scaled(0.0), ["certificates"]),
    "a rectifier that adds": ("maximum", lambda f: lambda x, y: f(x, y) + 0.5, ["derivatives"]),
    "singular vectors too long": ("linalg.svd", decomposed, ["regularizers"]),
    "singular values that are zero": ("linalg.svdvals", scaled(0.0), ["ranks and sparsity"]),
    "a QR that is none": ("linalg.qr", decomposed, ["low-rank training"]),
    "a transpose in double precision": (
        "matrix_transpose", lambda f: lambda x: f(x).astype(np.float64), ["single precision"],
    ),
    "a tangent that is never the same": ("tanh", drifting, ["the same bits"]),
    "results that are kept": ("tanh", kept, ["memory"]),
}  # fmt: skip


def broken(monkeypatch, name, breaks):
    """The mock with one function replaced."""
    *above, last = name.split(".")
    if not above and last in vars(fakecupy.xp):
        monkeypatch.setattr(fakecupy.xp, last, breaks(getattr(fakecupy.xp, last)))
        return
    module = getattr(fakecupy.compat, above[0]) if above else fakecupy.compat
    monkeypatch.setitem(vars(module), last, breaks(getattr(module, last)))


PAIRS = [
    pytest.param(how, name, marks=pytest.mark.slow if name == "derivatives" else ())
    for how, (*_, noticed) in BREAKS.items()
    for name in noticed
]


@pytest.mark.parametrize(("how", "noticed"), PAIRS)
def test_what_is_broken_is_noticed(monkeypatch, how, noticed):
    name, breaks, _ = BREAKS[how]
    broken(monkeypatch, name, breaks)
    try:
        with pytest.raises(NumericalError):
            CHECKS[noticed](FAKE)
    finally:
        KEPT.clear()


def test_every_check_notices_something():
    assert {name for *_, noticed in BREAKS.values() for name in noticed} == set(CHECKS.names())


def test_a_check_that_fails_stops_no_other(monkeypatch):
    def fails(on):
        raise NumericalError("other numbers\nand more")

    def breaks(on):
        raise ZeroDivisionError

    some = Registry("check", "refimpl.device")
    some._complete = True
    for name, one in {"fails": fails, "breaks": breaks, "passes": lambda on: "3 arrays"}.items():
        some.register(name)(one)
    monkeypatch.setattr(check, "CHECKS", some)
    said = [(one.name, one.passed, one.said) for one in run_checks(FAKE)]
    assert said == [
        ("fails", False, "other numbers"),
        ("breaks", False, "ZeroDivisionError: "),
        ("passes", True, "3 arrays"),
    ]


@pytest.mark.parametrize(
    ("found", "expected", "message"),
    [
        ({"a": np.ones(2)}, {"a": np.ones(3)}, r"a is float64\(2,\), on NumPy float64\(3,\)"),
        ({"a": np.ones(2, np.float32)}, {"a": np.ones(2)}, r"a is float32\(2,\), on NumPy float64"),
        ({"a": np.ones(2)}, {"b": np.ones(2)}, "expected b, got a"),
        ({}, {}, "expected , got "),
        ([np.array([1.0, np.nan])], [np.array([1.0, 2.0])], "0 differs from NumPy's by inf"),
        ({"a": [0.5, 1.0]}, {"a": [0.5, 1.1]}, "a 1 differs from NumPy's by 0.0909"),
    ],
)
def test_arrays_that_differ_are_named(found, expected, message):
    with pytest.raises(NumericalError, match=message):
        compare(found, expected, 1e-3)


def test_arrays_may_differ_by_what_they_are_allowed():
    there = [np.array([100.0, np.nan]), 0.0]
    assert compare([np.array([100.0001, np.nan]), 0.0], there, 1e-5) == "2 arrays, differing by at most 1e-06"
    with pytest.raises(NumericalError):
        compare([np.array([100.0, np.nan]), 1e-4], there, 1e-5)


def test_a_sign_here_and_there_may_be_another():
    here = np.zeros((10, 100))
    there = here.copy()
    there[0, :10] = 0.1
    assert compare_signs([there], [here]) == "1 arrays, differing by at most 0.01"
    there[0, 10] = 0.1
    with pytest.raises(NumericalError, match=r"0 differs from NumPy's by 0\.011"):
        compare_signs([there], [here])


def test_what_is_fetched_is_held_no_longer_than_it_is_asked_for():
    """Not until Python looks for cycles, which would be an epoch's numbers of every epoch."""
    gc.collect()
    gc.disable()
    try:
        before = FAKE.memory_in_use()
        fetch({"losses": [FAKE.asarray(np.ones(1000)) for _ in range(3)]})
        assert FAKE.memory_in_use() == before
    finally:
        gc.enable()


def test_numpy_has_nothing_to_wait_for_and_counts_no_memory():
    numpy = backend("numpy")
    with numpy.without_waiting():
        assert numpy.memory_in_use() is None


def test_cupy_is_asked_to_refuse_waits_and_what_its_pool_holds(monkeypatch):
    """By the names of CuPy 14: nothing of it runs here."""
    from contextlib import contextmanager

    allowed, real = [], check.backend("numpy")

    @contextmanager
    def allow_synchronize(allow):
        allowed.append(allow)
        yield
        allowed.append("as before")

    pool = types.SimpleNamespace(used_bytes=lambda: 512)
    modules = {
        "cupyx": types.SimpleNamespace(allow_synchronize=allow_synchronize),
        "cupy": types.SimpleNamespace(get_default_memory_pool=lambda: pool),
    }
    monkeypatch.setattr("importlib.import_module", lambda name: modules[name])
    cupy = type(real)("cupy", None, None)
    with cupy.without_waiting():
        assert allowed == [False]
    assert allowed == [False, "as before"]
    assert cupy.memory_in_use() == 512
