"""Whatever stands in the files of a run, the reader gets it whole or one line that names the file."""

import json
import os
import shutil
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from refimpl import DataError
from refimpl.backend import backend
from refimpl.runs.folder import Run
from refimpl.runs.schema import AttackFile, Log, Measures, read_json, read_lines

READ = ("config.toml", "manifest.json", "history.jsonl", "measure.json", "attacks/fgsm-eps0.1.json")
OTHERS: tuple[Any, ...] = (None, True, -1, 10**400, 0.5, "text", "", [], [[]], {}, {"epoch": {}})

BYTES = (
    *(b"[" * 10**5, b"[" * 10**5 + b"\n", b'{"a":' * 10**5, b"a = " + b"[" * 10**5, b"a" + b".a" * 10**4 + b" = 1"),
    *(b"\xff\xfe\n", "{}\n".encode("utf-16"), b"\x00" * 99, b"null\n", b"NaN\n", b"1e999\n", b"seed = " + b"1" * 5000),
)
"""Nested deeply, no UTF-8, no JSON, no TOML, or of another type."""


@pytest.fixture(scope="module")
def whole(refimpl, tmp_path_factory) -> Path:
    """A run that was trained, attacked and measured."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    settings = ("--arch", "fcnn", "--dataset", "strokes-small", "--epochs", 2, "--adversarial", "fgsm")
    refimpl("train", *settings, "--monitor-examples", 20, "--no-report", "--out", folder)
    refimpl("attack", folder, "--attack", "fgsm", "--eps", 0.1)
    refimpl("measure", folder)
    return folder


@pytest.fixture
def run(whole, tmp_path) -> Run:
    return Run(Path(shutil.copytree(whole, tmp_path / "run")))


def readers(run: Run, name: str) -> list[Callable[[], object]]:
    """What reads a file."""
    return {
        "config.toml": [lambda: run.config, lambda: run.load(backend("numpy"))],
        "manifest.json": [lambda: run.manifest, lambda: run.history, lambda: run.status],
        "history.jsonl": [lambda: run.history],
        "measure.json": [lambda: run.result(run.folder / "measure.json", Measures)],
        READ[-1]: [lambda: run.result(run.folder / READ[-1], AttackFile)],
    }[name]


def refused(run: Run, name: str) -> int:
    """How many readers of a file refuse it, each in one line that names it."""
    said = []
    for use in readers(run, name):
        try:
            use()
        except DataError as error:
            said.append(str(error))
    assert [line for line in said if str(run.folder) not in line or "\n" in line] == []
    return len(said)


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value inside a value, and of it itself."""
    yield at
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inside:
        yield from places(item, (*at, key))


def with_other(value: Any, at: tuple[Any, ...], other: Any) -> Any:
    """A copy with `other` at a place."""
    if not at:
        return other
    copy = value.copy()
    copy[at[0]] = with_other(value[at[0]], at[1:], other)
    return copy


def without(value: Any, at: tuple[Any, ...]) -> Any:
    copy = value.copy()
    if len(at) == 1:
        del copy[at[0]]
    else:
        copy[at[0]] = without(value[at[0]], at[1:])
    return copy


def restructured(content: str) -> Iterator[str]:
    """Every value of a JSON file replaced by every other, and each left out."""
    value = json.loads(content)
    for at in places(value):
        yield from (json.dumps(with_other(value, at, other)) for other in OTHERS)
        if at:
            yield json.dumps(without(value, at))


def test_a_whole_run_is_read(whole):
    run = Run.open(whole)
    assert run.status == "finished"
    assert run.load(backend("numpy")).epoch == len(run.history) == 2
    measured = run.result(whole / "measure.json", Measures)
    attacked = run.result(whole / READ[-1], AttackFile)
    for found in (measured, attacked):
        assert found["epoch"] == 2
        assert found["checkpoint_sha256"] == run.latest().sha256
        assert found["data_sha256"] == run.manifest["data"]["sha256"]


@pytest.mark.parametrize("name", READ[1:])
def test_no_structure_of_json_ends_in_a_traceback(run, name):
    path, found = run.folder / name, []
    for content in restructured(path.read_text().split("\n")[0] if name.endswith("jsonl") else path.read_text()):
        path.write_text(content + "\n")
        found.append(refused(run, name))
    assert found.count(0) < len(found) / 3


def test_no_structure_of_toml_ends_in_a_traceback(run):
    path = run.folder / "config.toml"
    value = tomllib.loads(path.read_text())
    for at in [at for at in places(value) if at]:
        for other in OTHERS[1:]:
            path.write_text(tomli_w.dumps(with_other(value, at, other)))
            if not refused(run, "config.toml"):
                assert run.config.epochs_for(1000) >= 1


@pytest.mark.parametrize("name", READ)
def test_no_bytes_end_in_a_traceback(run, name):
    path = run.folder / name
    content = path.read_bytes()
    step = max(len(content) // 50, 1)
    places = range(0, len(content), step)
    cut = [content[:n] for n in places]
    flipped = [content[:n] + bytes([content[n] ^ 1 << (n % 8)]) + content[n + 1 :] for n in places]
    for damaged in (*cut, *flipped):
        path.write_bytes(damaged)
        refused(run, name)
    for damaged in BYTES:
        path.write_bytes(damaged)
        assert refused(run, name)


@pytest.mark.parametrize(
    ("name", "key", "value", "said"),
    [
        ("manifest.json", "status", "done", "Invalid enum value 'done' - at `$.status`"),
        ("manifest.json", "seconds", -1, "Expected `float` >= 0.0 - at `$.seconds`"),
        ("manifest.json", "history_sha256", "abc", "at `$.history_sha256`"),
        ("measure.json", "accuracy", 1.5, "Expected `float` <= 1.0 - at `$.accuracy`"),
        ("measure.json", "layers", [{}], "Object missing required field `name` - at `$.layers[0]`"),
        ("attacks/fgsm-eps0.1.json", "n", "20", "Expected `int`, got `str` - at `$.n`"),
    ],
)
def test_what_is_wrong_is_said_where(run, name, key, value, said):
    path = run.folder / name
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    kind = {"measure.json": Measures}.get(name, AttackFile)
    with pytest.raises(DataError) as caught:
        _ = run.manifest if name == "manifest.json" else run.result(path, kind)
    assert str(caught.value).startswith(f"{path} is damaged: ")
    assert said in str(caught.value)


def test_a_line_of_a_history_is_named(tmp_path):
    path = tmp_path / "history.jsonl"
    good = {"epoch": 1, "loss": 1, "test_loss": 0.5, "accuracy": 0.5, "layers": [], "l1": 3.0}
    path.write_text(json.dumps(good) + "\n{}\n")
    with pytest.raises(DataError, match=r"history\.jsonl, line 2 is damaged: Object missing required field"):
        read_lines(path, Log)
    path.write_text(json.dumps(good) + "\n" + json.dumps(good))
    assert read_lines(path, Log) == [good]  # with the keys that no type names, without the torn line


def test_numbers_come_back_to_the_bit(tmp_path):
    path = tmp_path / "history.jsonl"
    numbers = [
        0.1,
        1 / 3,
        5e-324,
        1.7976931348623157e308,
        2.2250738585072014e-308,
        123456789.123456789,
        9007199254740993,
    ]
    path.write_text(json.dumps({"values": numbers}))
    assert read_json(path, dict) == {"values": numbers}


@pytest.mark.parametrize("name", READ)
@pytest.mark.parametrize("kind", ["fifo", "folder", "missing"])
def test_what_is_no_file_is_refused_not_waited_for(run, name, kind):
    path = run.folder / name
    path.unlink()
    if kind == "fifo":
        os.mkfifo(path)
    if kind == "folder":
        path.mkdir()
    assert refused(run, name)


@pytest.mark.parametrize("name", READ[3:])
def test_a_result_of_another_checkpoint_or_of_other_data_is_refused(run, name):
    path, kind = run.folder / name, Measures if name == "measure.json" else AttackFile
    found = json.loads(path.read_text())
    path.write_text(json.dumps(found | {"checkpoint_sha256": "0" * 64}))
    with pytest.raises(DataError, match=r"was not made from .*epoch-00002"):
        run.result(path, kind)
    path.write_text(json.dumps(found | {"epoch": 1}))
    with pytest.raises(DataError, match=r"epoch-00001\.safetensors cannot be read"):
        run.result(path, kind)
    path.write_text(json.dumps(found | {"data_sha256": {**found["data_sha256"], "test_images": "0" * 64}}))
    with pytest.raises(DataError, match="is of other data than the run"):
        run.result(path, kind)


def test_a_configuration_of_the_flat_format_is_refused_by_name(run):
    path = run.folder / "config.toml"
    path.write_text('arch = "fcnn"\nwidths = [784, 20, 10]\noptimizer = "sgd"\nlearning_rate = 0.001\n')
    with pytest.raises(DataError, match=r"config\.toml has the flat format .* arch .* \[network\.fcnn\]") as caught:
        _ = run.config
    assert "\n" not in str(caught.value)
