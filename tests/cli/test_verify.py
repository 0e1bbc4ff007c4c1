"""`refimpl verify`: what it prints, its exit codes, its processes."""

import gc
import importlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from refimpl_cli.session import sigterm_interrupts


def last_object(result):
    """--json prints one JSON object on standard output, and nothing else."""
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def shown(refimpl, tmp_path_factory):
    """A report on one statement that holds and one that does not, printed and as a page."""
    page = tmp_path_factory.mktemp("shown") / "v.html"
    return refimpl("verify", "appendix-b-rank", "eq-2", "--examples", 300, "--html", page), page


def test_verify_shows_what_holds_and_what_does_not(shown):
    result, path = shown
    assert re.search(r"eq-2-bounds .* holds with 300 examples", result.stdout)
    assert re.search(r"appendix-b-rank .* holds as corrected with 300 examples", result.stdout)
    assert re.search(r"but with W = \[\[.*\]\], image = \[\[", result.stdout)
    assert re.search(r"2 statements, 300 examples each, in \d processes: about \d+ seconds", result.stderr)
    assert "verifying: 2/2 statements" in result.stderr
    *_, counts, derivatives, seconds = result.stdout.splitlines()
    assert counts == "statements: 1 hold, 1 refuted as expected and hold as corrected, 0 unexpected"
    assert derivatives == "derivatives: not asked for"
    assert re.fullmatch(r"\d+ seconds", seconds)
    page = path.read_text()
    assert '<th scope="row">appendix-b-rank</th>' in page
    assert 'href="#counterexample-appendix-b-rank"' in page
    assert "Statements: 1 hold, 1 refuted as expected" in page
    assert "has the effective rank of W~" in page
    assert "http" not in page
    assert "300 a claim" in page
    assert not Path(".hypothesis").exists()


@pytest.mark.parametrize(("width", "media"), [(1280, ""), (400, ""), (680, "print")])
def test_the_page_of_verify_scrolls_down_only_and_is_printed_whole(chromium, shown, width, media):
    chromium.open(shown[1], width, media=media)
    assert chromium.overflowing(boxes=not media) == []
    assert chromium.evaluate("document.documentElement.scrollWidth") == width
    assert chromium.evaluate("[...document.querySelectorAll('th')].every(cell => cell.scope && cell.textContent)")
    assert chromium.evaluate("[...document.querySelectorAll('a')].every(a => document.querySelector(a.hash))")
    assert chromium.problems == []


@pytest.fixture(scope="module")
def found(refimpl):
    """The verdict on one statement, and those on the derivatives."""
    return last_object(refimpl("verify", "remark-1", "gradients", "--examples", 20, "--json", "--seed", 3))


def test_verify_gradients_and_json(found):
    command = [sys.executable, "-m", "refimpl", "verify", "gradients", "--json"]
    alone = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert alone["statements"] == []
    assert {row["name"] for row in alone["gradients"]} >= {"affine", "conv2d", "nuclear norm", "joint term"}
    assert all(row["as_expected"] for row in alone["gradients"])
    assert alone["summary"]["derivatives"] == len(alone["gradients"]) == len(found["gradients"])
    assert [row["name"] for row in found["statements"]] == ["remark-1"]
    assert found["statements"][0]["outcome"] == "holds"


@pytest.mark.slow
def test_verify_finds_the_same_in_any_number_of_processes(refimpl):
    def found(jobs):
        arguments = ("eq-3", "p-eps-one", "fgsm", "gradients", "--examples", 10, "--seed", 5, "--json", "--jobs", jobs)
        return last_object(refimpl("verify", *arguments))

    one, three = found(1), found(3)
    assert [row["name"] for row in one["statements"]] == [
        "p-eps-one-perturbation", "fgsm-optimal", "eq-3-bounds", "eq-3-invariant", "eq-3-rotation",
    ]  # fmt: skip
    assert {key: one[key] for key in one if key != "summary"} == {key: three[key] for key in three if key != "summary"}


def test_verify_without_enough_examples_to_refute_is_no_contradiction(refimpl):
    result = refimpl("verify", "theorem-1-proof-premise", "--examples", 1)
    assert "not refuted with 1 examples" in result.stdout
    assert "0 hold, 0 refuted as expected and hold as corrected, 1 not refuted with 1 examples" in result.stdout
    alone = last_object(refimpl("verify", "theorem-1-proof-premise", "--examples", 1, "--json"))
    (row,) = alone["statements"]
    assert alone["gradients"] == []
    assert (row["outcome"], row["as_expected"]) == ("not refuted", None)


@pytest.mark.parametrize("wrong", ["statement", "derivative"])
def test_verify_ends_with_5_where_a_statement_or_a_derivative_is_wrong(refimpl, found, monkeypatch, wrong):
    module = importlib.import_module("refimpl_cli.verify")
    statement, derivative = dict(found["statements"][0]), dict(found["gradients"][0])
    if wrong == "statement":
        measured = [{"quantity": "p_0(w)", "value": 0.5}]
        statement |= {"outcome": "refuted", "as_expected": False, "counterexample": {"w": [1.0]}, "measured": measured}
    else:
        derivative |= {"as_expected": False}
    monkeypatch.setattr(module, "compute", lambda *_: ([statement], [derivative]))
    result = refimpl("verify", "remark-1", "gradients", "--examples", 5, "--html", "page.html", code=5)
    name, words = {
        "statement": ("remark-1", "refuted; expected: holds"), "derivative": ("affine", "WRONG"),
    }[wrong]  # fmt: skip
    assert words in result.stdout
    assert f"1 of 2 verdicts are wrong: {name}" in result.stderr
    assert Path("page.html").read_text().count('class="red"') == 1


@pytest.fixture
def at_work(tmp_path):
    """A long `refimpl verify` and the numbers of its two processes; none of them is left afterwards."""
    if not Path("/proc/self/task").exists():
        pytest.skip("processes are looked for where Linux lists them")
    command = [sys.executable, "-m", "refimpl_cli", "verify", "--examples", "100000", "--jobs", "2"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert "2 processes" in process.stderr.readline()
        deadline = time.monotonic() + 60
        while len(workers := started_by(process.pid)) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        time.sleep(1)
        yield process, workers
    deadline = time.monotonic() + 10
    while any(map(running, workers)):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def started_by(process):
    """The processes that threads of this one started, but for Python's own."""
    lists = [path.read_text().split() for path in Path(f"/proc/{process}/task").glob("*/children")]
    return [child for children in lists for child in children if b"spawn_main" in command_line(child)]


def command_line(process):
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return b""


def test_verify_interrupted_ends_its_processes(at_work):
    process, _ = at_work
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert stdout == ""
    assert stderr == "refimpl: interrupted\n"


def test_verify_ends_its_processes_where_one_was_killed(at_work):
    process, workers = at_work
    os.kill(int(workers[0]), signal.SIGKILL)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 1
    assert stdout == ""
    assert stderr == "refimpl: a process was killed, perhaps because memory ran out: try fewer --jobs\n"


@pytest.mark.slow
def test_an_interrupt_lost_in_the_garbage_collector_comes_again(capfd):
    def meet(phase, info):
        if phase == "start":
            gc.callbacks.remove(meet)
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.001)

    def work():
        with sigterm_interrupts():
            gc.collect()
            time.sleep(10)

    gc.collect()
    gc.disable()  # or a collection before the handler is there would end the tests
    gc.callbacks.append(meet)
    try:
        with pytest.raises(KeyboardInterrupt):
            work()
    finally:
        gc.enable()
    assert capfd.readouterr().err == ""


def running(process: str) -> bool:
    """Whether there is a process of this number; one that has ended but was not waited for has no command line."""
    return command_line(process) != b""


def test_verify_completes_the_names_of_statements(refimpl, monkeypatch):
    monkeypatch.setenv("_REFIMPL_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "refimpl verify gr")
    monkeypatch.setenv("COMP_CWORD", "2")
    command = [sys.executable, "-c", "from refimpl_cli.main import main; main(prog_name='refimpl')"]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == "plain,gradients\n"
    monkeypatch.setenv("COMP_WORDS", "refimpl verify eq-7")
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == "plain,eq-7-order\n"


def test_verify_refuses_an_unknown_name_and_too_few_examples(refimpl):
    assert "no statement is called 'theorem-2'" in refimpl("verify", "theorem-2", code=2).stderr
    assert "--examples" in refimpl("verify", "--examples", 0, code=2).stderr
    assert "there is no folder" in refimpl("verify", "--html", "nowhere/page.html", code=2).stderr
