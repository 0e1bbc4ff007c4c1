"""Every program and every command on the pages runs, in the order in which they stand there."""

import os
import re
import shlex
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

PAGES = sorted((Path(__file__).parents[2] / "refimpl" / "interop").glob("*.md"))
NEEDED = {
    "README.md": (),
    "art.md": ("art.attacks.evasion",),
    "torch.md": ("torch", "torchattacks", "foolbox"),
    "external.md": ("torch",),
    "export.md": ("onnx", "onnxruntime", "torch"),
    "tensorboard.md": ("tensorboard",),
}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_the_programs_run(refimpl, in_folder, page, monkeypatch, capsys):
    for name in NEEDED[page.name]:
        pytest.importorskip(name, reason=f"{name} is not installed: the programs of {page.name} are not run")
    monkeypatch.setenv("HOME", os.fspath(in_folder))
    names, printed = {"__name__": "__main__"}, []
    for kind, block in re.findall(r"```(\w+)\n(.*?)```", page.read_text(), re.S):
        if kind == "python":
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # theirs
                exec(compile(block, page.name, "exec"), names)  # of our own page
            printed.append(capsys.readouterr().out)
            assert bool(printed[-1]) == ("print" in block)
        for line in block.splitlines() if kind == "sh" else ():
            if line.startswith("refimpl "):
                refimpl(*shlex.split(line, comments=True)[1:])
    if page.name in ("art.md", "torch.md"):  # accuracy without and under attack
        clean, attacked = map(float, re.findall(r"[01]\.\d+", printed[0]))
        assert attacked < 0.7 * clean


def test_no_page_is_left_out():
    assert {page.name for page in PAGES} == set(NEEDED)


def test_nothing_is_imported_before_it_is_needed():
    code = "import sys, refimpl, refimpl.interop.export, refimpl.interop.formats, refimpl_cli.export\n"
    code += "print([m for m in ('torch', 'art', 'onnx', 'onnxruntime', 'tensorboard', 'jax') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"
