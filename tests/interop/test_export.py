"""Files for ONNX, PyTorch and NumPy: their logits are ours, they say what they are, and what cannot be is refused."""

import builtins
import importlib
import io
import json
import sys
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

import refimpl as ri
from refimpl.interop import export as exporting
from refimpl.interop.formats import NAMES, npz
from refimpl.interop.formats import torch as state_dict
from refimpl.interop.layers import plain
from refimpl.networks import CNN
from refimpl.runs.folder import Run

RUN = Path("runs") / "fcnn-seed0"
NO_ONNX = "onnx is not installed: its files are not tested"


def in_single(network, drawn):
    """Weights and images in single precision, and our logits."""
    params, images = drawn
    params = {name: p.astype(np.float32) for name, p in params.items()}
    images = images.astype(np.float32)
    return plain(network, params), images, network.forward(params, images.reshape(len(images), -1))[0]


def test_onnxruntime_finds_our_logits(network, drawn):
    onnx = pytest.importorskip("onnx", reason=NO_ONNX)
    onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: no logits to compare with")
    module = importlib.import_module("refimpl.interop.formats.onnx")
    made, images, ours = in_single(network, drawn)
    content = module.content(made, "{}")
    onnx.checker.check_model(onnx.load_model_from_string(content), full_check=True)
    (found,) = onnxruntime.InferenceSession(content).run(["logits"], {"images": images})
    assert found == pytest.approx(ours, abs=1e-6)


def test_an_onnx_file_has_names_shapes_and_no_clock(network, drawn):
    onnx = pytest.importorskip("onnx", reason=NO_ONNX)
    module = importlib.import_module("refimpl.interop.formats.onnx")
    made, images, ours = in_single(network, drawn)
    content = module.content(made, "provenance")
    graph = onnx.load_model_from_string(content).graph

    def shape(value):
        return [one.dim_param or one.dim_value for one in value.type.tensor_type.shape.dim]

    assert [(one.name, shape(one)) for one in graph.input] == [("images", ["batch", *images.shape[1:]])]
    assert [(one.name, shape(one)) for one in graph.output] == [("logits", ["batch", ours.shape[1]])]
    assert [one.name for one in graph.initializer] == list(network.full(drawn[0]))
    assert module.content(made, "provenance") == content


def test_pytorch_loads_the_state_dict_and_finds_our_logits(network, drawn):
    torch = pytest.importorskip("torch", reason="torch is not installed: nothing loads the state dict")
    safetensors = importlib.import_module("safetensors.torch")
    made, images, ours = in_single(network, drawn)
    module = eval(str(made), {"torch": torch})  # the expression that `refimpl export` prints
    module.load_state_dict(safetensors.load(state_dict.content(made, "{}")))
    assert module(torch.tensor(images)).detach().numpy() == pytest.approx(ours, abs=1e-6)


def test_numpy_loads_the_weights_without_pickle(network, drawn):
    made, *_ = in_single(network, drawn)
    with np.load(io.BytesIO(npz.content(made, "provenance")), allow_pickle=False) as arrays:
        assert arrays.files == [*made.params, "refimpl"]
        assert str(arrays["refimpl"]) == "provenance"
        for name, p in made.params.items():
            assert arrays[name].dtype == p.dtype
            assert np.array_equal(arrays[name], p)


def test_low_rank_layers_are_products_rounded_once(network, drawn):
    made, *_ = in_single(network, drawn)
    exact = network.full({name: p.astype(np.float32).astype(float) for name, p in drawn[0].items()})
    for name, p in made.params.items():
        assert np.array_equal(p, exact[name].astype(np.float32))


@pytest.mark.parametrize("to", NAMES)
def test_a_run_is_exported_and_checked(refimpl, in_folder, to):
    if to == "onnx":
        pytest.importorskip("onnx", reason=NO_ONNX)
    suffix = {"onnx": ".onnx", "torch": ".safetensors", "npz": ".npz"}[to]
    report = json.loads(refimpl("export", RUN, "--to", to, "--json").stdout)
    assert (report["file"], report["shape"], report["epoch"]) == (f"fcnn-seed0{suffix}", [1, 28, 28], 15)
    assert Path(report["file"]).stat().st_size == report["bytes"]
    assert all(error <= 1e-5 if "single" in reader else error <= 1e-6 for reader, error in report["errors"].items())
    first = Path(report["file"]).read_bytes()
    refimpl("export", RUN, "--to", to, "--out", "again")
    assert Path("again").read_bytes() == first


def test_a_file_says_which_run_it_is(refimpl, in_folder):
    refimpl("export", RUN, "--to", "npz")
    with np.load("fcnn-seed0.npz", allow_pickle=False) as arrays:
        found = json.loads(str(arrays["refimpl"]))
    run = Run.open(RUN)
    assert found["checkpoint_sha256"] == run.latest().sha256
    assert found["data_sha256"] == run.manifest["data"]["sha256"]
    assert (found["run"], found["epoch"], found["refimpl"]) == ("fcnn-seed0", 15, ri.__version__)
    assert str(in_folder) not in json.dumps(found)


def test_what_is_wrong_is_not_written(refimpl, in_folder, monkeypatch):
    """As if a layer had been forgotten."""
    plain_network = exporting.plain

    def wrong(network, params):
        made = plain_network(network, params)
        return made._replace(params={name: 1.001 * p for name, p in made.params.items()})

    monkeypatch.setattr(exporting, "plain", wrong)
    result = refimpl("export", RUN, "--to", "npz", code=4)
    assert "nothing was written" in result.stderr
    assert [path.name for path in in_folder.iterdir()] == ["runs"]


def test_refusals_are_one_line(refimpl, in_folder):
    for code, words, arguments in (
        (2, "takes one run, got 2", (RUN, RUN, "--to", "npz")),
        (2, "choose", (RUN, "--to", "pickle")),
        (3, "is not a run", ("runs", "--to", "npz")),
        (3, "cannot be written", (RUN, "--to", "npz", "--out", "no/such/folder.npz")),
    ):
        result = refimpl("export", *arguments, code=code)
        assert words in result.stderr or "is not one of" in result.stderr
        assert "Traceback" not in result.output
    assert [path.name for path in in_folder.iterdir()] == ["runs"]


def test_an_untrained_run_is_refused(refimpl, in_folder):
    refimpl("train", "--dataset", "strokes-small", "--epochs", 1, "--no-report", "--out", "short")
    (Path("short") / "history.jsonl").write_text("")
    for path in (Path("short") / "checkpoints").iterdir():
        path.unlink()
    assert "short" in refimpl("export", "short", "--to", "npz", code=3).stderr


def test_a_network_of_another_file_is_refused():
    class Mine(CNN):
        """A network derived from one of ours, which may compute something else."""

        name: ClassVar[str] = "mine"

    network = Mine(filters=(1, 1), hidden_units=2)
    with pytest.raises(ri.UsageError, match="mine cannot be exported: only fcnn, cnn, lenet5 can"):
        plain(network, network.init(ri.backend("numpy")))


def test_a_missing_library_is_one_line(refimpl, in_folder, monkeypatch):
    imported = builtins.__import__

    def missing(name, *arguments, **named):
        if name == "onnx":
            raise ModuleNotFoundError(name)
        return imported(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", missing)
    monkeypatch.delitem(sys.modules, "refimpl.interop.formats.onnx", raising=False)
    assert "pip install 'refimpl[interop]'" in refimpl("export", RUN, "--to", "onnx", code=2).stderr
