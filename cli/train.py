"""refimpl train"""

from pathlib import Path
from typing import Any

import click

from refimpl.attacks.base import ATTACKS, Attack
from refimpl.backend import backend as make_backend
from refimpl.data import load
from refimpl.networks.architectures import ARCHITECTURES
from refimpl.networks.cnn import ACTIVATIONS, PADDINGS
from refimpl.runs.config import ADVERSARIES, WATCHES, Config
from refimpl.runs.fit import fit
from refimpl.runs.folder import Run
from refimpl.runs.presets import METHODS
from refimpl.training.loop import Record

from . import attack, low_rank, measure, options
from .console import Bar, note, percent, report, warn
from .session import blas_threads, open_run, sigterm_interrupts
from .which_run import created, resumed


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
    show_default="240 on MNIST, 62 on Fashion-MNIST, lenet5 5; elsewhere as many as make the same number of steps",
    help="Passes over the training set.",
)
@click.option("--batch-size", type=click.IntRange(min=1), show_default="128; cnn 64", help="Examples a step.")
@click.option("--optimizer", type=click.Choice(["sgd", "adam"]), show_default="sgd", help="The paper says SGD.")
@click.option(
    "--learning-rate",
    type=float,
    show_default="0.001; cnn 0.01 from scratch; lenet5 0.1",
    help="Step length of the optimizer.",
)
@click.option("--momentum", type=float, show_default="0.0; lenet5 0.3", help="Of sgd.")
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
    type=click.Choice(ADVERSARIES),
    show_default="none",
    help="Attack every batch before the step (Madry et al. 2018).",
)
@click.option(
    "--adversarial-share", type=float, show_default="1.0", help="Share of each batch that is attacked: 0.5 is half."
)
@click.option(
    "--eps", type=float, show_default="0.05; in l_2 0.5", help="Budget of --adversarial, in pixels of [0, 1]."
)
@click.option("--rank", "adversarial_rank", type=options.Rank(), show_default="3", help="Of lora-pgd: 3, or 10%.")
@options.perturbed_weights()
@click.option("--clip/--no-clip", default=None, show_default="no-clip", help="Keep attacked pixels in [0, 1].")
@click.option(
    "--method",
    type=click.Choice([name for methods in METHODS.values() for name in methods]),
    help="A row of the paper's tables, instead of the options from --l1 to --adversarial; these win beside it.",
)
@low_rank.options
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
    run = resumed(resume, given, other) if resume else created(given, config, out, source, method, data_dir)
    settled = run.config
    data = load(settled.dataset, data_dir=data_dir)
    epochs = settled.epochs_for(len(data.train.labels))
    what = f"{settled.arch} on {data.name} ({data.source}), {settled.method} training"
    note(f"{run.folder}: {what}, {epochs} epochs, seed {settled.seed}")
    low_rank.describe(settled)

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


def _report(run: Run, data_dir: Path | None, config: Config, as_json: bool) -> None:
    """The paper's three attacks and the measures of its weights, on the whole test set."""
    session = open_run(run.folder, data_dir, config.backend)
    attacks = [Attack(name=name, seed=config.seed) for name in ATTACKS]
    outcomes = attack.evaluate(session, attacks, examples=None)
    for spec, outcome in zip(attacks, outcomes, strict=True):
        attack.save(run, str(spec), outcome, session.epoch, images=False)
    measured = measure.evaluate(session)
    if as_json:
        report({**measured, "attacks": [outcome.summary for outcome in outcomes]})
    else:
        measure.show(measured)
        attack.show([outcome.summary for outcome in outcomes])
