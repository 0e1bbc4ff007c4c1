"""Benchmarks: settings, and the rows of times that they give."""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

from threadpoolctl import threadpool_limits

from ..backend import Backend, Params, describe_gpu, numpy_kernel
from ..backend import backend as make_backend
from ..data import Dataset, Split, load, resolve
from ..errors import UsageError
from ..networks import Gradients, Network
from ..parameters import has_convolutions
from ..registry import Registry
from ..runs.config import Config
from ..runs.fast_twins import accelerated
from ..runs.manifest import kernel_remark
from ..runs.trained import open_run
from ..settings import Settings, kinds, setting
from .timing import Row, pinned

Note = Callable[[str], None]
"""What takes remarks for the user."""


@dataclass(frozen=True, kw_only=True)
class Benchmark(Settings):
    """Derive from it, and register with `BENCHMARKS`: `rows` is all that a benchmark needs, its docstring the help.

    A row has a `name`; one made by `timing.row` compares with a peer.
    """

    repeats: int = setting(5, "Counted rounds.", at_least=1)
    threads: int = setting(1, "Processors, and threads of BLAS, or of the convolutional net.", at_least=1)

    @property
    def device(self) -> str:
        """What is computed on: "cpu", or the name of a GPU."""
        return "cpu"

    @property
    def blas_threads(self) -> int:
        return self.threads

    @abstractmethod
    def rows(self, note: Note) -> list[Row]:
        """Take the times, on the processors and with the threads of BLAS that are there."""

    def run(self, note: Note = lambda message: None) -> list[Row]:
        """The rows, each with the threads, the device and the kernel of NumPy's BLAS."""
        remark = kernel_remark()
        if remark:
            note(remark)
        with pinned(self.threads), threadpool_limits(self.blas_threads, user_api="blas"):
            where = {"threads": self.threads, "device": self.device, "numpy_kernel": numpy_kernel()}
            return [{**row, **where} for row in self.rows(note)]


BENCHMARKS: Registry[type[Benchmark]] = Registry("benchmark", __package__)


@dataclass(frozen=True, kw_only=True)
class DataBenchmark(Benchmark):
    """A benchmark on a data set, or on its first examples."""

    few: ClassVar[int] = 640
    """Examples of a convolutional net, which is slow, where their number is not given."""

    examples: int | None = setting(None, "The first so many examples.", usual="all; cnn 640", at_least=1)
    dataset: str = setting("auto", "Name of a data set, or auto: the paper's for the network where it is found.")
    data_dir: str = setting(
        "", "Folder with the IDX files, or with a folder of them for each data set.",
        usual="REFIMPL_DATA, the user's cache, /usr/share/datasets",
    )  # fmt: skip

    def load(self, network: Network, note: Note) -> Dataset:
        """The data set for a network."""
        found, remark = resolve(self.dataset, network.usual.dataset, self._folder)
        if remark:
            note(remark)
        return self.first(load(found, data_dir=self._folder), network)

    def first(self, data: Dataset, network: Network) -> Dataset:
        """As many examples as asked for; a few for a convolutional net."""
        n = self.examples or (self.few if has_convolutions(network.init(make_backend("numpy"))) else None)
        train, test = (Split(part.images[:n], part.labels[:n]) for part in (data.train, data.test))
        return replace(data, train=train, test=test)

    @property
    def _folder(self) -> Path | None:
        return Path(self.data_dir) if self.data_dir else None


@dataclass(frozen=True, kw_only=True)
class NetworkBenchmark(DataBenchmark):
    """A benchmark of a network, with its usual settings but for `network_settings`.

    Raises `UsageError` for a network, and for settings, that there are not.
    """

    arch: str = setting("fcnn", "Name of a network.")
    backend: str = setting(
        "numpy", "Where to compute: numpy, cupy (a CUDA GPU), or auto (cupy where it works).",
        choices=("numpy", "cupy", "auto"),
    )  # fmt: skip
    network_settings: Mapping[str, Any] = field(default_factory=dict)
    config: Config = field(init=False)
    """The network as it is trained unless told otherwise."""

    def __post_init__(self) -> None:
        super().__post_init__()
        table = {"network": {self.arch: dict(self.network_settings)}, "threads": self.threads}
        object.__setattr__(self, "config", Config.from_table(table))

    @property
    def device(self) -> str:
        return describe_gpu()["gpu"] if make_backend(self.backend).name == "cupy" else "cpu"

    @property
    def blas_threads(self) -> int:
        return self.config.blas_threads


def described(network: Network) -> str:
    """`cnn`, or `cnn with padding same` where settings are not the usual ones."""
    usual = type(network)()
    names = [one.name for one, _ in kinds(type(network)) if not one.metadata["about"].of_data]
    other = [f"{name} {value}" for name in names if (value := getattr(network, name)) != getattr(usual, name)]
    return f"{network.name} with {', '.join(other)}" if other else network.name


@dataclass(frozen=True)
class Trained:
    """A network to attack, its gradients at its weights, and the data."""

    network: Network
    params: Params
    gradients: Gradients
    data: Dataset
    backend: Backend


@dataclass(frozen=True, kw_only=True)
class AttackBenchmark(NetworkBenchmark):
    """A benchmark of attacks, on an untrained network or on that of a run."""

    from_run: str = setting("", "Attack the network of this run folder, on its data, not an untrained one.")

    def __post_init__(self) -> None:
        if self.from_run and self.network_settings:
            given = " and ".join(self.network_settings)
            raise UsageError(f"the network of {self.from_run} has a {given} of its own: give none beside a run")
        super().__post_init__()

    def trained(self, note: Note) -> Trained:
        if self.from_run:
            where: Any = {"data_dir": self._folder, "backend": self.backend, "threads": self.threads, "warn": note}
            run = open_run(self.from_run, **where).full()
            network = run.config.network
            data, params, backend = self.first(run.data, network), run.params, run.backend
        else:
            network, backend = self.config.network, make_backend(self.backend)
            data, params = self.load(network, note), self.config.init(backend)
        return Trained(network, params, accelerated(network, self.threads).gradients(params), data, backend)
