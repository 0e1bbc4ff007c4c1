"""A trained net with its data, to be attacked and measured: what the commands do with a run, and programs with `ri`."""

import hashlib
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from ..atomic import make_folder, write_text
from ..attacks import ATTACKS, Attack, InputAttack, WeightAttack
from ..backend import Backend, Params
from ..backend import backend as make_backend
from ..data import MEMORY, Dataset, load
from ..errors import DataError, RefimplWarning, UsageError
from ..low_rank import LowRankNetwork, factorised
from ..measures import AttackResult, LabelledImages, fooling, fooling_weights
from ..measures.perturbation_spectrum import describe, matched
from ..networks import Network
from ..settings import nearest
from ..tables import html_table
from .config import Config
from .fast_twins import accelerated
from .folder import Run, Warn
from .measured import NetworkMeasures, measure
from .results import to_json, write_result
from .schema import Origin
from .zoo import opened

Progress = Callable[[int], None]
"""Told how many test images are done."""

SIGMA2 = 0.1
"""Variance of the noise under which mutual information is measured unless told otherwise."""


def warn_in_python(message: str) -> None:
    """A `RefimplWarning`, which Python prints once."""
    warnings.warn(message, RefimplWarning, stacklevel=2)


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """How attacks are carried out, on `examples` test images drawn with `examples_seed`, on all where it is None.

    `surrogate` is the run whose gradient a warm start follows; `match_nuclear` scales eps of low-rank PGD until its
    nuclear norm is that of PGD in the l2 ball; `certify` counts, under perturbed weights, the inputs that nothing
    within the radii can change. Results are kept in the folder `out`, by default the run's, where it has one, unless
    `save` is False; with `save_images` the adversarial images, too. Raises `UsageError` for fewer than one example.
    """

    examples: int | None = None
    examples_seed: int = 0
    surrogate: "TrainedRun | None" = None
    match_nuclear: bool = False
    certify: bool = False
    save: bool = True
    save_images: bool = False
    out: Path | None = None

    def __post_init__(self) -> None:
        if self.examples is not None and self.examples < 1:
            raise UsageError(f"there must be at least one example to attack, got {self.examples}")
        if self.examples_seed < 0:
            raise UsageError(f"the seed of the examples must be at least 0, got {self.examples_seed}")

    @property
    def marks(self) -> list[str]:
        """What makes a result another one, as parts of the names of files."""
        found = []
        if self.surrogate:
            found.append(f"surrogate-{self.surrogate.name}-{_digest(self.surrogate.place)}")
        if self.match_nuclear:
            found.append("matched")
        return found


def check_attack(attack: Attack, *, led: bool, match_nuclear: bool, certify: bool) -> None:
    """Raise `UsageError` for what makes no sense beside an attack; `led` says whether there is a surrogate."""
    follows = isinstance(attack, InputAttack) and attack.follows_surrogate
    if led and not (follows and getattr(attack, "warm_start", True)):
        raise UsageError("a surrogate leads a warm start, and only lora-pgd with warm-start has one")
    if match_nuclear and not follows:
        raise UsageError(f"match-nuclear belongs to lora-pgd, not to {attack.name}")
    if certify and not isinstance(attack, WeightAttack):
        raise UsageError(f"certify belongs to input-weight, not to {attack.name}")


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainedRun:
    """A net after `epoch` epochs, its data, and where it is worked on.

    `network` is the fast twin where there is one, and in factors where the layers are; `params` its weights by name.
    `run` has the files, None for a run in memory, whose epoch logs are `logs` and whose attacks, their summaries, are
    `attacked`. `checkpoint_sha256` is the hash of the
    checkpoint that `params` were read from, or would be written to. `truncation` is the fraction of the full rank that
    layers were truncated to after training. `warn` hears what is not an error: that results could not be saved.
    """

    config: Config
    epoch: int
    network: Network
    params: Params = field(repr=False)
    data: Dataset = field(repr=False)
    backend: Backend = field(repr=False)
    checkpoint_sha256: str = field(repr=False)
    run: Run | None = None
    logs: tuple[dict[str, Any], ...] = field(default=(), repr=False)
    attacked: list[dict[str, Any]] = field(default_factory=list, repr=False)
    truncation: float | None = None
    warn: Warn = field(default=warn_in_python, repr=False)

    @property
    def history(self) -> list[dict[str, Any]]:
        """A log for each epoch, as history.jsonl has it. Raises `DataError` where the file is damaged."""
        return self.run.history if self.run else list(self.logs)

    @property
    def folder(self) -> Path | None:
        """Where results are kept; None for a run in memory and one of the zoo, which is read only."""
        return self.run.folder if self.run and not self.run.read_only else None

    @property
    def title(self) -> str:
        """The folder, `zoo:NAME`, or of a run in memory its name."""
        return self.run.title if self.run else self.name

    @property
    def name(self) -> str:
        """That of the folder; of a run in memory network, data, method and seed."""
        if self.run:
            return self.run.folder.resolve().name
        return f"{self.config.arch}-{Path(self.data.name).stem}-{self.config.method}-seed{self.config.seed}"

    @property
    def place(self) -> str:
        """The folder, `zoo:NAME`, or "memory" with the hash of the weights: what tells runs of one name apart."""
        if self.run is None:
            return f"memory:{self.checkpoint_sha256}"
        return self.run.title if self.run.read_only else str(self.run.folder.resolve())

    @property
    def origin(self) -> Origin:
        """What is found of the net was made from, as the keys of a result."""
        return {
            "epoch": self.epoch,
            "checkpoint_sha256": self.checkpoint_sha256,
            "data_sha256": self.data.sha256,
        }

    def full(self) -> "TrainedRun":
        """The same net with its layers as full weights, where they are in factors."""
        params = self.network.full(self.params)
        return replace(self, network=accelerated(self.config.network, self.config.threads), params=params)

    def truncated(self, fraction: float) -> "TrainedRun":
        """The net with its layers, but the last, truncated to a fraction of their full rank."""
        params = factorised(self.full().params, fraction)
        network: Any = LowRankNetwork(self.config.network, fraction)
        network = accelerated(network, self.config.threads)
        return replace(self, network=network, params=params, truncation=fraction)

    def measure(self, *, sigma2: float | None = None, save: bool = True, out: Path | None = None) -> NetworkMeasures:
        """Test accuracy, effective rank and sparsity of every layer; kept as measure.json in `out` or the run's folder.

        With `sigma2`, the variance of the noise, also bounds of I(x;t) and I(y;t) of every hidden layer, in bits.
        """
        with threadpool_limits(self.config.blas_threads, user_api="blas"):
            found = measure(self.network, self.params, self.data.test, self.backend, self.data.name, sigma2)
        where = out or self.folder
        if save and where and self.truncation is None:
            try:
                make_folder(where)
                write_text(where / "measure.json", to_json(self.as_result(found)) + "\n")
            except DataError as error:  # as in a course's read-only runs
                self.warn(f"the measures could not be saved: {error}")
        return found

    def as_result(self, measured: NetworkMeasures) -> dict[str, Any]:
        """Measures as measure.json has them: with the run and what they were made from."""
        return {"run": self.title, **self.origin, **measured.as_dict()}

    def attack(
        self, attack: str | Attack = "pgd", *, progress: Progress = lambda done: None, **settings: Any
    ) -> AttackResult:
        """What an attack does to the test images, with the paper's budget unless told otherwise.

        `settings` are those of the attack, by name, where `attack` is a name, and those of `Evaluation`:
        `run.attack("pgd", eps=8 / 255, restarts=3, random_start=True, examples=1000)`. The result is kept in the run's
        folder, as from the command line. Raises `UsageError` for settings that the attack does not have.
        """
        names = [one.name for one in fields(Evaluation)]
        how = Evaluation(**{name: value for name, value in settings.items() if name in names})
        own = {name: value for name, value in settings.items() if name not in names}
        (result,) = self.attack_all([_made(attack, own, names)], how, progress)
        return result

    def attack_all(
        self,
        attacks: Sequence[str | Attack],
        how: Evaluation = Evaluation(),
        progress: Progress = lambda done: None,
    ) -> list[AttackResult]:
        """What each attack does to the same test images; those that perturb weights work on the full ones.

        Raises `UsageError` for what is not a list of attacks, and for an attack that does not go with `how`.
        """
        if isinstance(attacks, str | Attack):
            raise UsageError(f"expected a list of attacks, got {attacks!r}: `attack` takes a single one")
        asked: list[Any] = [_made(one, {}).for_images(self.data.shape) for one in attacks]
        budgets = [one.eps for one in asked]
        for one in asked:
            led = how.surrogate is not None
            check_attack(one, led=led, match_nuclear=how.match_nuclear, certify=how.certify)
        with threadpool_limits(self.config.blas_threads, user_api="blas"):
            if how.match_nuclear:
                images = self.data.test.images
                asked = [matched(one, images, lambda both: self._fooled(both, how, progress)) for one in asked]
            results = self._fooled(asked, how, progress)
        for one, result, eps in zip(asked, results, budgets, strict=True):
            result.summary.update({"matched_eps": eps} if how.match_nuclear else {})
            result.summary.update(self._circumstances(one, result, how))
        where = how.out or (self.folder / "attacks" if self.folder else None)
        if how.save and where:
            return self._kept(where, asked, results, how)
        self.attacked.extend(result.summary for result in results)
        return results

    def _fooled(self, attacks: Sequence[Attack], how: Evaluation, progress: Progress) -> list[AttackResult]:
        """The results in the order of the attacks."""
        test, dtype = self.data.test, self.config.dtype
        inputs = LabelledImages(test.images, test.labels, self.backend, dtype).some(how.examples, how.examples_seed)
        follow = how.surrogate.network.gradients(how.surrogate.params) if how.surrogate else None
        moving = [one for one in attacks if isinstance(one, WeightAttack)]
        others = [one for one in attacks if isinstance(one, InputAttack)]
        found: dict[bool, list[AttackResult]] = {True: [], False: []}
        if moving:
            full = self.full()
            found[True] = fooling_weights(
                full.network, full.params, inputs, moving, certify=how.certify, progress=progress
            )
        if others:
            found[False] = fooling(self.network, self.params, inputs, others, surrogate=follow, progress=progress)
        return [found[isinstance(one, WeightAttack)].pop(0) for one in attacks]

    def _circumstances(self, attack: Attack, result: AttackResult, how: Evaluation) -> dict[str, Any]:
        """What a summary says beside the attack's settings and its counts."""
        found: dict[str, Any] = {}
        if how.surrogate:
            found["surrogate"] = str(how.surrogate.folder or how.surrogate.place)
        if attack.ball == "2" and self.data.shape[0] == 1 and isinstance(attack, InputAttack):
            found |= describe(self.data.test.images, result)
        if self.truncation is not None:
            found["truncated"] = self.truncation
        return found | self.origin

    def _kept(
        self, folder: Path, attacks: Sequence[Attack], results: Sequence[AttackResult], how: Evaluation
    ) -> list[AttackResult]:
        """The results, each with its file; as they are where none can be written, as in a course's read-only runs."""
        truncated = [] if self.truncation is None else [f"truncated{self.truncation!r}"]
        found = []
        try:
            for one, result in zip(attacks, results, strict=True):
                name = "-".join([str(one), *how.marks, *truncated, *_drawn(result.summary)])
                found.append(replace(result, file=write_result(folder, name, result, how.save_images)))
        except DataError as error:
            self.warn(f"the results could not be saved: {error}")
            return list(results)
        return found

    def _repr_html_(self) -> str:
        last = self.history[-1]
        rows = [
            ("network", self.config.arch),
            ("training", self.config.method),
            ("data", self.data.name),
            ("seed", str(self.config.seed)),
            ("epochs", str(self.epoch)),
            ("loss", f"{last['loss']:.4f}"),
            ("test accuracy", f"{100 * last['accuracy']:.2f} %"),
        ]
        return html_table(self.title if self.run else "a run in memory", ("", ""), rows)


def open_run(
    folder: Path | str,
    *,
    data: Dataset | None = None,
    data_dir: Path | str | None = None,
    backend: str | None = None,
    threads: int | None = None,
    warn: Warn = warn_in_python,
) -> TrainedRun:
    """The run in `folder`, or that on record that `zoo:NAME` names, at its latest checkpoint, with its data, by hash.

    `data` are those of a run that was trained on arrays; else they are looked for by name, first in `data_dir`. Backend
    and number of threads are the run's unless told otherwise. Raises `DataError` for what is no run or has no
    checkpoint, and where the data are others.
    """  # fmt: skip
    run = opened(folder)
    config = replace(run.config, threads=threads or run.config.threads)
    where = make_backend(backend or config.backend)
    checkpoint = run.trained(where, warn)
    data = data or data_of(run, data_dir)
    if data.sha256 != run.manifest["data"]["sha256"]:
        raise DataError(f"{folder} was trained on other data than the {data.name} found in {data.source}")
    return TrainedRun(
        config=config,
        epoch=checkpoint.epoch,
        network=accelerated(config.trained(), config.threads),
        params=checkpoint.params,
        data=data,
        backend=where,
        checkpoint_sha256=checkpoint.sha256,
        run=run,
        warn=warn,
    )


def data_of(run: Run, data_dir: Path | str | None = None) -> Dataset:
    """The data that a run names. Raises `DataError` where they were in memory alone, or are not found."""
    if run.manifest["data"]["source"] == MEMORY:
        raise DataError(f"{run.folder} was trained on arrays in memory: give them again, as data")
    return load(run.config.dataset, data_dir=None if data_dir is None else Path(data_dir))


def _made(attack: str | Attack, settings: dict[str, Any], others: Sequence[str] = ()) -> Attack:
    """An attack by name with these settings. Raises `UsageError` for settings beside an attack that has its own."""
    if isinstance(attack, str):
        kind = ATTACKS[attack]
        known = [one.name for one in fields(kind)]
        for name in settings:
            if name not in known:
                raise UsageError(f"{attack} has no setting {name!r}{nearest(name, [*known, *others])}")
        return kind(**settings)
    if not isinstance(attack, Attack):
        raise UsageError(f"expected an attack or the name of one, got {attack!r}: see refimpl.attacks")
    if settings:
        raise UsageError(f"{attack} has its settings already: give {', '.join(settings)} where it is made")
    return attack


def _drawn(summary: Mapping[str, Any]) -> list[str]:
    """How many test images a result is of, and the seed of the draw unless it is 0, where it is not of all."""
    seed = summary.get("examples_seed")
    return [] if seed is None else [f"examples{summary['n']}" + (f"-of-seed{seed}" if seed else "")]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
