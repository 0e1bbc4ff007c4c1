"""refimpl train"""

import itertools
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import click

from refimpl.adversary import ATTACKS, Attack
from refimpl.backend import backend as make_backend
from refimpl.checkpoint import Checkpoint
from refimpl.cnn import ACTIVATIONS, PADDINGS
from refimpl.config import WATCHES, Config, read_settings
from refimpl.data import load
from refimpl.errors import DataError, UsageError
from refimpl.fit import fit
from refimpl.methods import METHODS, NATURAL
from refimpl.networks import ARCHITECTURES
from refimpl.runs import Run
from refimpl.train import Record

from . import attack, measure, options
from .console import Bar, note, percent, report, warn
from .session import blas_threads, find_data, open_run, sigterm_interrupts

SETTINGS = tuple(field.name for field in fields(Config))


@click.command()
@click.option("--arch", type=click.Choice(ARCHITECTURES), show_default="fcnn", help="The architecture.")
@click.option(
    "--dataset",
    show_default="auto",
    help="mnist, fashion-mnist, strokes or strokes-small (built in), or auto: the paper's"
    " for the architecture where it is found, else strokes.",
)
@options.data_dir()
@options.backend()
@click.option(
    "--dtype", type=click.Choice(["float32", "float64"]), show_default="float32", help="Of weights and pixels."
)
@click.option("--seed", type=click.IntRange(min=0), show_default="0", help="Of initial weights and shuffling.")
@click.option(
    "--epochs",
    type=click.IntRange(min=1),
    show_default="240 on MNIST, 62 on Fashion-MNIST, elsewhere as many as make the same number of steps",
    help="Passes over the training set.",
)
@click.option("--batch-size", type=click.IntRange(min=1), show_default="128; cnn 64", help="Examples a step.")
@click.option("--optimizer", type=click.Choice(["sgd", "adam"]), show_default="sgd", help="The paper says SGD.")
@click.option(
    "--learning-rate", type=float, show_default="0.001; cnn 0.01 from scratch", help="Step length of the optimizer."
)
@click.option("--momentum", type=float, show_default="0.0", help="Of sgd.")
@click.option("--widths", type=options.Numbers(int), show_default="784,20,20,20,20,20,10", help="Layers of fcnn.")
@click.option("--padding", type=click.Choice(PADDINGS), show_default="valid", help="Of cnn's convolutions.")
@click.option("--activation", type=click.Choice(list(ACTIVATIONS)), show_default="tanh", help="Of cnn's convolutions.")
@click.option("--l1", type=options.Lambdas(), help="l1 norm of layers, Eq. (5): 1=0.01 adds 0.01 |W1|_1 to the loss.")
@click.option("--nuclear", type=options.Lambdas(), help="Nuclear norm of layers, Eq. (6): 1=0.03,2=0.01.")
@click.option(
    "--joint", type=float, show_default="0.0", help="lambda of the l1 norm of the product of all layers, Eq. (7)."
)
@click.option(
    "--proximal/--subgradient",
    default=None,
    show_default="subgradient",
    help="How --l1 and --nuclear act: proximal steps make exact zeros, subgradients, the paper's, do not.",
)
@click.option(
    "--adversarial",
    type=click.Choice(["none", "fgsm", "pgd"]),
    show_default="none",
    help="Attack every batch before the step (Madry et al. 2018).",
)
@click.option(
    "--adversarial-share", type=float, show_default="1.0", help="Share of each batch that is attacked: 0.5 is half."
)
@options.perturbed_weights()
@click.option("--eps", type=float, show_default="0.05", help="Budget of attacks in training, in pixels in [0, 1].")
@click.option("--clip/--no-clip", default=None, show_default="no-clip", help="Keep attacked pixels in [0, 1].")
@click.option(
    "--method",
    type=click.Choice([name for methods in METHODS.values() for name in methods]),
    help="A row of the paper's tables, instead of the options from --l1 to --adversarial; these win beside it.",
)
@click.option(
    "--watch",
    type=click.Choice(["auto", *WATCHES]),
    show_default="auto: fooling where --adversarial, else none",
    help="Fooling ratios, mutual information in the record of epochs 1, 2, ..., 10, 13, 16, 20, 25, ..., and the last.",
)
@click.option(
    "--watch-examples", type=click.IntRange(min=1), show_default="1000", help="The first so many test images."
)
@click.option("--from", "source", type=options.FOLDER, help="Start from the weights of this run: fine-tuning.")
@click.option("--checkpoint-every", type=click.IntRange(min=1), show_default="10", help="Epochs between checkpoints.")
@options.threads()
@click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Settings from a TOML file, a run's config.toml for one; options given beside it win.",
)
@click.option(
    "--out",
    type=options.FOLDER,
    help="Run folder, which must not exist. [default: runs/ARCH-DATASET-seedSEED, numbered where taken]",
)
@click.option(
    "--resume", type=options.FOLDER, help="Continue this run. Takes --epochs, to go on for longer, and --data-dir."
)
@click.option(
    "--report/--no-report",
    "then_report",
    default=True,
    show_default=True,
    help="Attack and measure the net at the end, with the paper's budgets.",
)
@options.as_json()
def train(
    data_dir: Path | None,
    config: Path | None,
    out: Path | None,
    source: Path | None,
    resume: Path | None,
    method: str | None,
    then_report: bool,
    as_json: bool,
    **settings: Any,
) -> None:
    """Train a net and leave a run folder: config.toml, manifest.json, history.jsonl, checkpoints/.

    Ctrl-C leaves a run that --resume continues to the same bits as if it had never stopped.
    """
    given = {name: value for name, value in settings.items() if value is not None}
    other = out or config or source or method
    run = _resumed(resume, given, other) if resume else _created(given, config, out, source, method, data_dir)
    settled = run.config
    data = load(settled.dataset, data_dir=data_dir)
    epochs = settled.epochs_for(len(data.train.labels))
    what = f"{settled.arch} on {data.name} ({data.source}), {settled.method} training"
    note(f"{run.folder}: {what}, {epochs} epochs, seed {settled.seed}")

    with blas_threads(settled.blas_threads), sigterm_interrupts():
        with Bar("training", epochs, "epochs") as bar:

            def on_epoch(record: Record) -> None:
                bar.update(record.epoch, f"loss {record.loss:.4f}  test accuracy {percent(record.accuracy)}")

            try:
                fit(run, data, make_backend(settled.backend), on_epoch, warn)
            except KeyboardInterrupt:
                note(f"stopped; `refimpl train --resume {run.folder}` continues it to the same result")
                raise
        if then_report:
            _report(run, data_dir, settled, as_json)
        elif as_json:
            report({"run": str(run.folder), **run.history[-1]})
    note(f"the run is in {run.folder}; `refimpl attack {run.folder} --attack pgd --eps 0.01,0.05,0.1` attacks it again")


def _created(
    given: dict[str, Any],
    file: Path | None,
    out: Path | None,
    source: Path | None,
    method: str | None,
    data_dir: Path | None,
) -> Run:
    """A new run. What is given as an option wins over the method, the method over the file, that over the defaults."""
    settings = read_settings(_read(file), str(file)) if file else {}
    if settings.get("start") and not source:
        raise UsageError(f"{file} is of a run that started from {settings['start']}: name it again with --from")
    inherited, start = _fine_tuning(source) if source else ({}, None)
    settings |= inherited
    settings |= _settings(method, given.get("arch", settings.get("arch", "fcnn")))
    config = Config.of(**(settings | given))
    backend = make_backend(config.backend)
    data = find_data(config.dataset, config.arch, data_dir)
    epochs = config.epochs_for(len(data.train.labels))
    config = replace(config, dataset=data.name, backend=backend.name, epochs=epochs)
    with blas_threads(config.blas_threads):  # which the manifest records
        return Run.create(out or _free(Path("runs"), _name(config)), config, data, start)


def _fine_tuning(source: Path) -> tuple[dict[str, Any], Checkpoint]:
    """The net and the data of the run that is started from, and its latest weights."""
    run = Run.open(source)
    start = run.latest(warn)
    if start is None:
        raise DataError(f"{source} has no checkpoint to start from")
    names = ("arch", "dataset", "dtype", "widths", "padding", "activation")
    return {name: getattr(run.config, name) for name in names} | {"start": str(source)}, start


def _settings(method: str | None, arch: str) -> dict[str, Any]:
    """Those of a method, and none of any other."""
    if method is None:
        return {}
    if method not in METHODS[arch]:
        raise UsageError(f"{method} is no method of {arch}: choose one of {', '.join(METHODS[arch])}")
    return NATURAL | METHODS[arch][method]


def _name(config: Config) -> str:
    method = "" if config.method == "natural" else f"-{config.method}"
    return f"{config.arch}-{config.dataset}{method}-seed{config.seed}"


def _resumed(folder: Path, given: dict[str, Any], other: object) -> Run:
    """An existing run, perhaps with more epochs to go."""
    refused = [name for name in given if name != "epochs"]
    if refused or other:
        raise UsageError("--resume keeps the run's own settings: beside it only --epochs and --data-dir make sense")
    run = Run.open(folder)
    if "epochs" in given:
        done = len(run.history)
        if given["epochs"] < done:
            raise UsageError(f"{folder} has {done} epochs already; --epochs {given['epochs']} is less")
        run.write_config(replace(run.config, epochs=given["epochs"]))
    return run


def _report(run: Run, data_dir: Path | None, config: Config, as_json: bool) -> None:
    """The paper's three attacks and the measures of its weights, on the whole test set."""
    session = open_run(run.folder, data_dir, config.backend)
    attacks = [Attack(name=name, seed=config.seed) for name in ATTACKS]
    outcomes = attack.evaluate(session, attacks, examples=None)
    for spec, outcome in zip(attacks, outcomes, strict=True):
        attack.save(run, spec, outcome, session.epoch, images=False)
    measured = measure.evaluate(session)
    if as_json:
        report({**measured, "attacks": [outcome.summary for outcome in outcomes]})
    else:
        measure.show(measured)
        attack.show([outcome.summary for outcome in outcomes])


def _free(root: Path, name: str) -> Path:
    """`root/name`, or the first of `root/name-2`, `root/name-3`, ... that is not there."""
    numbered = itertools.chain([root / name], (root / f"{name}-{k}" for k in itertools.count(2)))
    return next(path for path in numbered if not path.exists())


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--config {file} cannot be read: {error}") from None
