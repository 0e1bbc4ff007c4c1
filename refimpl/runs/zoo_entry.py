"""Making an entry of the zoo of a finished run of `refimpl reproduce`: equal runs give equal bytes."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..atomic import make_folder, write_bytes, write_text
from ..backend import backend
from ..errors import DataError, UsageError
from ..low_rank import n_weights
from ..measures import interval
from ..tables import percent, percent_interval
from . import checkpoint as checkpoints
from .checkpoint import Checkpoint
from .folder import Run
from .results import to_json
from .schema import ExperimentResult, ZooRow
from .toml import to_toml
from .zoo import CARD, CONFIG, ENTRY, FILES, INDEX, PREFIX, WEIGHTS, index

RESULT = "result.json"
BUDGET = 25 * 10**6
"""Bytes of all entries together: they come with every installation."""


def name_of(run: Run) -> str:
    """`fcnn-literal-pgd-seed0` of `fcnn-literal/pgd-seed0`."""
    return f"{run.folder.resolve().parent.name}-{run.folder.resolve().name}"


def write_entries(runs: Sequence[Run], root: Path) -> list[str]:
    """Entries of these runs in `root`, beside those that are there, and its index; their names.

    Raises `DataError` for a run without a result or not finished, `UsageError` where all entries together are larger
    than `BUDGET`; nothing is then written.
    """
    rows, known = index(root), {name_of(run) for run in runs}
    made = {name_of(run): _entry(run, known | set(rows)) for run in runs}
    kept = sum(path.stat().st_size for name in rows if name not in made for path in (root / name).iterdir())
    size = kept + sum(len(content) for entry, _ in made.values() for content in entry.values())
    if size > BUDGET:
        raise UsageError(f"the entries would be {size / 10**6:.1f} MB; all together may be {BUDGET / 10**6:g} MB")
    for name, (entry, row) in made.items():
        make_folder(root / name)
        for file, content in entry.items():
            write_bytes(root / name / file, content)
        rows[name] = row
    write_text(root / INDEX, to_json({"entries": [rows[name] for name in sorted(rows)]}) + "\n")
    return sorted(made)


def _entry(run: Run, known: Iterable[str]) -> tuple[dict[str, bytes], ZooRow]:
    """The files by name, and the row of the index."""
    if not (run.folder / RESULT).is_file() or run.status != "finished":
        raise DataError(f"{run.folder} is no finished run of `refimpl reproduce`: it has no {RESULT}")
    name, config, manifest = name_of(run), run.config, run.manifest
    result: Any = run.result(run.folder / RESULT, ExperimentResult)
    latest = run.load(backend("numpy"))
    weights = Checkpoint(latest.epoch, latest.params, {})
    origin = {key: result[key] for key in ("epoch", "data_sha256")} | {"checkpoint_sha256": checkpoints.sha256(weights)}
    source = config.start.replace("/", "-")
    slim = {**manifest, "data": {**manifest["data"], "source": manifest["data"]["name"]}, "checkpoint": latest.epoch}
    log, n = run.history[-1], result["attacks"][0]["n"]
    measures = {
        "run": PREFIX + name, **origin, "dataset": result["dataset"], "n": n, "test_loss": log["test_loss"],
        "accuracy": result["accuracy"], "accuracy_interval_95": interval(round(result["accuracy"] * n), n),
        "layers": result["layers"], "weights": n_weights(latest.params),
        "full_weights": n_weights(config.trained().full(latest.params)),
    }  # fmt: skip
    attacks = [{**summary, **origin} for summary in result["attacks"]]
    entry = {"manifest": slim, "log": log, "measures": measures, "attacks": attacks}
    files = {
        WEIGHTS: checkpoints.content(weights),
        CONFIG: to_toml(replace(config, start=PREFIX + source) if source in known else config).encode(),
        ENTRY: (to_json(entry) + "\n").encode(),
    }
    files[CARD] = _card(name, entry, result, files[WEIGHTS], config.start).encode()
    known_of = ("arch", "dataset", "method", "assumption", "seed", "accuracy")
    hashes = {file: hashlib.sha256(files[file]).hexdigest() for file in FILES}
    row: Any = {"name": name, **{key: result[key] for key in known_of}, "epochs": latest.epoch, "sha256": hashes}
    return files, row


def _card(name: str, entry: dict[str, Any], result: dict[str, Any], weights: bytes, start: str) -> str:
    manifest, measures = entry["manifest"], entry["measures"]
    git = manifest["git"] or {}
    facts = {
        "network": f"{result['arch']}, {measures['weights']:,} weights",
        "data": ", ".join(f"{role} {sha[:12]}" for role, sha in sorted(result["data_sha256"].items())),
        "method": f"{result['method']}, assumption {result['assumption']}",
        "started from": start or "initial weights",
        "seed": result["seed"],
        "epochs": result["epoch"],
        "test accuracy": f"{percent(measures['accuracy'])} ({percent_interval(measures['accuracy_interval_95'])}, 95 %"
        f" interval) of {measures['n']} images",
        "effective ranks": ", ".join(f"{one['name']} {one['effective_rank']:.3f}" for one in result["layers"]),
        "seconds of training": f"{manifest['seconds']:.0f}",
        "machine": f"{manifest['processor']}, {manifest['cores']} cores",
        "made with": f"refimpl {manifest['packages']['refimpl']}, NumPy {manifest['packages']['numpy']}"
        + (f", commit {git['commit'][:12]}" if git else ""),
        "SHA-256 of the weights": hashlib.sha256(weights).hexdigest(),
    }
    rows = [f"| {key} | {value} |" for key, value in facts.items()]
    fooled = [
        f"| {one['attack']} | {one['eps']:g} | {'no' if one.get('clip') is None else 'yes'} |"
        f" {percent(one['fooling_ratio'])} | {percent_interval(one['fooling_ratio_interval_95'])} |"
        for one in result["attacks"]
        if one["fooling_ratio"] is not None
    ]
    title = f"# {name}\n\n{result['method']} training on {result['dataset']}, as `refimpl reproduce` has it.\n"
    header = "| attack | eps | pixels clipped | fooling ratio | 95 % interval |\n| --- | --- | --- | --- | --- |"
    use = f"```sh\nrefimpl attack {PREFIX}{name} --attack ensemble --examples 1000\n```"
    return "\n".join([title, "| | |", "| --- | --- |", *rows, "", header, *fooled, "", use, ""])
