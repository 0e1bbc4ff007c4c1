"""refimpl sweep"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any

import click

from refimpl.data import Dataset
from refimpl.errors import NumericalError, UsageError
from refimpl.runs.fit_stack import alike
from refimpl.runs.folder import begun
from refimpl.runs.sweep import STACK, Planned, Unit, epochs_done, outcome, train_all, train_unit, units
from refimpl.runs.train import check_network, for_data

from . import options
from .console import Bar, command, count, note, percent, report, table, warn
from .derived import Option
from .executors import cluster, cores, interrupted, processes
from .grid import grid_options, points
from .help import SectionedCommand
from .main import INTERRUPTED
from .new_run import Sources, configured, source_table
from .session import find_data, sigterm_interrupts
from .train import OWN as OF_TRAIN

FILES, WORK = "Files", "Side by side"
OWN = [
    *(option for option in OF_TRAIN if option.name in ("source", "config", "data_dir")),
    Option(
        ["--out", "root"], type=options.FOLDER, section=FILES, default=Path("sweep"), show_default="sweep",
        help="Folder of the runs; one that holds some of them already is continued.",
    ),
    Option(
        ["--list", "--dry-run", "as_list"], is_flag=True, section=FILES,
        help="Train nothing, but list the runs, how far each is, and what is trained together.",
    ),
    Option(
        ["--stack-size"], type=click.IntRange(min=1), section=WORK,
        show_default=f"{STACK}, or as many as leave every process a stack",
        help="Runs in a stack at most; 1 trains each by itself.",
    ),
    Option(
        ["--jobs"], type=click.IntRange(min=1), section=WORK, show_default="one a core",
        help="Processes side by side, a stack each.",
    ),
    Option(
        ["--scheduler"], section=WORK,
        help="Address of a running Dask scheduler, tcp://host:8786, instead of --jobs; its workers must see --out.",
    ),
    Option(
        ["--json", "as_json"], is_flag=True, section=options.OUTPUT,
        help="Print one JSON object on standard output, nothing else.",
    ),
]  # fmt: skip
"""Beside the options of `refimpl train`."""


def _sweep(**given: Any) -> None:
    """Train every combination of settings, each in a run folder of its own under --out.

    Options that take several values, with commas, make a grid: --l1 1=0,0.003,0.01 --seeds 0:5 --method natural,pgd are
    3 x 5 x 2 runs. A lambda of 0 is a run without the term. The name of a folder says what tells it from the others.

    Fully connected nets that differ in seeds and regularizers are trained in stacks, many models in one step, which
    takes about half the time of single ones where they share a seed; by rounding their bits are those of the stack.
    What is finished is not done again, what was interrupted goes on to the same bits: the same command continues.
    """
    derived = grid_options(OWN)
    names = {option.name for option in derived}
    chosen = {name: value for name, value in given.items() if value is not None and name in names}
    sources = Sources(given["config"], given["source"])
    planned, data = _planned(chosen, derived, sources, given["data_dir"])
    root: Path = given["root"]
    work = units(root, planned, _size(planned, given))
    if given["as_list"]:
        _list(root, work, given["as_json"])
        return
    over = {one.name for one in planned if _over(outcome(root, one))}
    todo = [unit for unit in work if not all(one.name in over for one in unit)]
    _announce(root, planned, data, work, len(over))
    if todo:
        _train(root, planned, todo, given)
    _conclude([outcome(root, one) for one in planned], root, given["as_json"])


sweep = SectionedCommand("sweep", callback=_sweep, derive=lambda: [*grid_options(OWN), *OWN], help=_sweep.__doc__)


def _planned(
    chosen: Mapping[str, Any], derived: Sequence[Option], sources: Sources, data_dir: Path | None
) -> tuple[list[Planned], Dataset]:
    """The runs of the grid, without those that have the settings of another one, and their data."""
    base, combinations = source_table(sources), points(chosen, derived)
    configs = []
    for point in combinations:
        method = point.given.pop("method", None)
        try:
            configs.append(configured(base, point.given, derived, method))
        except UsageError as error:
            raise UsageError(f"{point.words}: {error}" if point.words else str(error)) from None
    first = configs[0]
    data = find_data(first.dataset, first.network.usual.dataset, data_dir)
    backend = first.make_backend().name
    planned: dict[str, Planned] = {}
    for point, config in zip(combinations, configs, strict=True):
        config = for_data(replace(config, dataset=data.name, backend=backend), data)
        config.check_named()
        name = f"{point.words or config.method}-seed{config.seed}"
        planned.setdefault(json.dumps(config.table(), sort_keys=True), Planned(name, config))
    if first.low_rank is None:
        check_network(first.network, begun(replace(first, start="")).params, data)
    left_out = len(combinations) - len(planned)
    if left_out:
        note(f"{count(left_out, 'combination')} left out, which have the settings of another")
    return list(planned.values()), data


def _size(planned: Sequence[Planned], given: Mapping[str, Any]) -> int:
    """Of stacks at most: what was asked for, or such that no process is without one."""
    if given["scheduler"] and given["jobs"]:
        raise UsageError("--jobs are processes here, --scheduler is work elsewhere: give one of them")
    if given["scheduler"] or given["stack_size"]:
        return given["stack_size"] or STACK
    stackable = sum(alike(one.config) is not None for one in planned)
    return max(1, min(STACK, ceil(stackable / (given["jobs"] or cores()))))


def _over(state: Mapping[str, Any]) -> bool:
    return state["status"] == "finished" or bool(state.get("diverged"))


def _list(root: Path, work: Sequence[Unit], as_json: bool) -> None:
    rows = [
        {"run": str(root / one.name), "status": outcome(root, one)["status"],
         "stack": i if len(unit) > 1 else None, "settings": one.config.table()}
        for i, unit in enumerate(work, start=1) for one in unit
    ]  # fmt: skip
    if as_json:
        report({"runs": rows})
        return
    cells = [(row["run"], row["status"], f"stack {row['stack']}" if row["stack"] else "by itself") for row in rows]
    table(("run", "status", "trained"), cells, words=3)
    note(f"{count(len(rows), 'run')}: {_in_words(work)}")


def _in_words(work: Sequence[Unit]) -> str:
    """`2 stacks of 6, 3 by themselves`."""
    sizes = [len(unit) for unit in work if len(unit) > 1]
    parts = [f"{count(sizes.count(size), 'stack')} of {size}" for size in dict.fromkeys(sizes)]
    alone = len(work) - len(sizes)
    themselves = ["1 by itself" if alone == 1 else f"{alone} by themselves"] if alone else []
    return ", ".join([*parts, *themselves])


def _announce(root: Path, planned: Sequence[Planned], data: Dataset, work: Sequence[Unit], over: int) -> None:
    config = planned[0].config
    source = "" if data.source == data.name else f" ({data.source})"
    note(f"{root}: {count(len(planned), 'run')} of {config.arch} on {data.name}{source}: {_in_words(work)}")
    if alike(config) is None:
        note("stacks are of fully connected nets with full weights and sgd or adam: these are trained one by one")
    if over:
        note(f"{over} of {len(planned)} done already")


def _train(root: Path, planned: Sequence[Planned], todo: Sequence[Unit], given: Mapping[str, Any]) -> None:
    """All that is to do, with one bar for the epochs of all runs."""
    jobs = min(given["jobs"] or cores(), len(todo))
    elsewhere = cluster(given["scheduler"]) if given["scheduler"] else processes(jobs)
    total = sum(one.config.epochs or 0 for one in planned)
    train = partial(
        train_unit, root.resolve(),
        start=given["source"] and given["source"].resolve(), data_dir=given["data_dir"] and given["data_dir"].resolve(),
    )  # fmt: skip
    with sigterm_interrupts(), elsewhere as executor, Bar("sweep", total, "epochs") as bar:
        try:
            lost = train_all(todo, executor, train, lambda: bar.update(epochs_done(root, planned)), warn)
        except KeyboardInterrupt:
            note(interrupted(given["scheduler"]))
            raise
    for unit in lost:
        note(f"the process of {unit[0].name}{_and_others(unit)} died, perhaps killed for want of memory")


def _and_others(unit: Unit) -> str:
    return f" and {len(unit) - 1} more" if len(unit) > 1 else ""


def _conclude(outcomes: Sequence[Mapping[str, Any]], root: Path, as_json: bool) -> None:
    """What became of all runs. Raises `NumericalError` where some diverged."""
    if as_json:
        report({"runs": outcomes})
    else:
        _show(outcomes)
        note(f"the runs are in {root}; {command('attack', outcomes[0]['run'], '--attack', 'pgd')} attacks one")
    unfinished = [one for one in outcomes if not _over(one)]
    diverged = [one for one in outcomes if one.get("diverged")]
    if unfinished:
        note(f"{count(len(unfinished), 'run')} not finished: the same command continues")
        click.get_current_context().exit(INTERRUPTED)
    if diverged:
        first = diverged[0]
        raise NumericalError(
            f"{len(diverged)} of {count(len(outcomes), 'run')} diverged: {first['run']}: {first['reason']}"
        )


def _show(outcomes: Sequence[Mapping[str, Any]]) -> None:
    """A row for each run: accuracy, fooling ratios where they were monitored, rank and sparsity of the first layer."""
    monitored = dict.fromkeys(_label(attack) for one in outcomes for attack in one.get("attacks", []))
    whole = all(one["status"] == "finished" for one in outcomes)
    rows = []
    for one in outcomes:
        fooled = {_label(attack): attack["fooling_ratio"] for attack in one.get("attacks", [])}
        layer = (one.get("layers") or [{}])[0]
        measures = [layer.get("effective_rank"), layer.get("effective_sparsity")]
        numbers = [_percent(one.get("accuracy")), *(_percent(fooled.get(name)) for name in monitored),
                   *("" if value is None else f"{value:.2f}" for value in measures)]  # fmt: skip
        rows.append((Path(one["run"]).name, *(() if whole else (one["status"],)), *numbers))
    words = ("run",) if whole else ("run", "status")
    table((*words, "accuracy", *monitored, "r(W1)", "s(W1)"), rows, words=len(words))
    told = ["accuracy on the test set", "r effective rank", "s effective sparsity"]
    note("; ".join([*told, *(["attacks with their fooling ratios"] if monitored else [])]))


def _label(attack: Mapping[str, Any]) -> str:
    return f"{attack['attack']} {attack['eps']:g}"


def _percent(fraction: float | None) -> str:
    return "" if fraction is None else percent(fraction)
