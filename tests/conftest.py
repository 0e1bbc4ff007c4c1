"""BLAS threads are pinned before NumPy loads; backends are a fixture; hypothesis has four speeds."""

import os

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
import pytest
from backends import BACKENDS, TestBackend
from chromium import Chromium, installed
from click.testing import CliRunner, Result
from hypothesis import settings
from jaxtyping import config

settings.register_profile("ci", derandomize=True, deadline=None, max_examples=50)
settings.register_profile("dev", deadline=None, max_examples=20)
settings.register_profile("brief", derandomize=True, deadline=None, max_examples=5)
settings.register_profile("thorough", deadline=None, max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "dev"))


WHOLE_PROGRAM = ("audit", "bench", "cli", "device", "docs", "experiments", "figures", "interop", "runs")
"""Folders of tests that use the library as users do, without checks of annotations: these make training up to 17 times
as slow. The tests of the mathematics have them."""


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    config.update("jaxtyping_disable", item.path.parent.name in WHOLE_PROGRAM)


@pytest.fixture(params=BACKENDS)
def be(request: pytest.FixtureRequest) -> TestBackend:
    """Every backend there is on this machine; real CuPy carries the marker `gpu`."""
    return request.param


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20190129)


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Functions without the checks of their annotations, as users have them."""
    monkeypatch.setattr(config, "jaxtyping_disable", True)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real MNIST and Fashion-MNIST files."""
    folder = os.environ.get("REFIMPL_DATA")
    if not folder:
        pytest.skip("REFIMPL_DATA is not set: no real data to test on")
    return Path(folder)


@pytest.fixture(scope="session")
def refimpl():
    """The command line through its installed entry point: `refimpl("train", "--epochs", "1")`."""
    (script,) = entry_points(group="console_scripts", name="refimpl")
    command = script.load()

    def invoke(*arguments: object, code: int = 0) -> Result:
        result = CliRunner().invoke(command, [str(argument) for argument in arguments])
        if result.exit_code != code:
            raise AssertionError(f"exit code {result.exit_code}, not {code}:\n{result.output}") from result.exception
        return result

    return invoke


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    """A headless browser, where the machine has one."""
    program = installed()
    if not program:
        pytest.skip("no Chromium is installed: how pages look is not tested")
    browser = Chromium(program, tmp_path_factory.mktemp("chromium"))
    yield browser
    browser.close()
