"""refimpl train"""

from pathlib import Path
from typing import Any

import click

from refimpl.attacks import ATTACKS, PAPERS
from refimpl.backend import backend as make_backend
from refimpl.low_rank import dense, n_weights
from refimpl.parameters import number, weights
from refimpl.runs.config import Config
from refimpl.runs.trained import Evaluation, TrainedRun

from . import attack, configuration, measure, options
from .console import Bar, command, count, note, percent, report
from .derived import Option
from .help import SectionedCommand
from .new_run import Sources, created, resumed
from .session import sigterm_interrupts

FILES = "Files"
OWN = [
    Option(
        ["--from", "source"], type=options.RUN, section=FILES,
        help="Start from the weights of this run, or of zoo:NAME: fine-tuning.",
    ),
    Option(
        ["--config"], type=click.Path(dir_okay=False, path_type=Path), section=FILES,
        help="Settings from a TOML file, a run's config.toml for one; options given beside it win.",
    ),
    Option(
        ["--out"], type=options.FOLDER, section=FILES,
        show_default="runs/ARCH-DATASET-METHOD-seedSEED, numbered where taken; what is not named is left out",
        help="Run folder, which must not exist.",
    ),
    Option(
        ["--resume"], type=options.FOLDER, section=FILES,
        help="Continue this run. Takes --epochs, to go on for longer, and --data-dir.",
    ),
    Option(
        ["--data-dir"], type=options.FOLDER, section=FILES,
        show_default="REFIMPL_DATA, the user's cache, /usr/share/datasets",
        help="Folder with the IDX files, or with a folder of them for each data set.",
    ),
    Option(
        ["--report/--no-report", "then_report"], default=True, show_default="yes", section="At the end",
        help="Attack and measure the net at the end, with the paper's budgets.",
    ),
    Option(
        ["--json", "as_json"], is_flag=True, section="At the end",
        help="Print one JSON object on standard output, nothing else.",
    ),
]  # fmt: skip


def _train(**options: Any) -> None:
    """Train a net and leave a run folder: config.toml, manifest.json, history.jsonl, checkpoints/.

    Ctrl-C leaves a run that --resume continues to the same bits as if it had never stopped.
    """
    derived = configuration.options(OWN)
    names = {option.name for option in derived}
    given = {name: value for name, value in options.items() if value is not None and name in names}
    method, data_dir, resume = given.pop("method", None), options["data_dir"], options["resume"]
    sources = Sources(options["config"], options["source"], method, options["out"])
    other = any(vars(sources).values())
    training = resumed(resume, given, other, data_dir) if resume else created(given, derived, sources, data_dir)
    config, data, run = training.config, training.data, training.run
    assert run is not None, "this command trains in a folder"
    source = "" if data.source == data.name else f" ({data.source})"
    what = f"{config.arch} on {data.name}{source}, {config.method} training"
    note(f"{run.folder}: {what}, {count(training.epochs, 'epoch')}, seed {config.seed}")
    _describe_ranks(config)
    with sigterm_interrupts():
        try:
            with Bar("training", training.epochs, "epochs") as bar, training:
                for log in training:
                    bar.update(log.epoch, f"loss {log.loss:.4f}  test accuracy {percent(log.accuracy)}")
        except KeyboardInterrupt:
            note(f"stopped; {command('train', '--resume', run.folder)} continues it to the same result")
            raise
        if options["then_report"]:
            _report(training.result(), options["as_json"])
        elif options["as_json"]:
            report({"run": str(run.folder), **run.history[-1]})
    again = command("attack", run.folder, "--attack", "pgd", "--eps", "0.01,0.05,0.1")
    note(f"the run is in {run.folder}; {again} attacks it again")


train = SectionedCommand(
    "train", callback=_train, derive=lambda: [*configuration.options(OWN), *OWN], help=_train.__doc__
)


def _describe_ranks(config: Config) -> None:
    """A line with the ranks, and the number of weights beside that of full layers, where layers are in factors."""
    if config.low_rank is None:
        return
    params = config.init(make_backend("numpy"))
    full = dense(params)
    ranks = [
        f"{name} {params[f'S{number(name)}'].shape[0]} of {min(W.shape[0], W[0].size)}"
        for name, W in weights(full).items()
    ]
    kept, before = n_weights(params), n_weights(full)
    note(f"ranks: {', '.join(ranks)}; {kept:,} weights, {percent(kept / before)} of the {before:,} of full layers")


def _report(trained: TrainedRun, as_json: bool) -> None:
    """The paper's three attacks and the measures of its weights, on the whole test set."""
    results = attack.evaluate(trained, [ATTACKS[name]() for name in PAPERS], Evaluation())
    measured = trained.measure()
    summaries = [result.summary for result in results]
    if as_json:
        report({**trained.as_result(measured), "attacks": summaries})
    else:
        measure.show(trained, measured)
        attack.show(summaries)
