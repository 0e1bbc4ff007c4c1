"""`refimpl reproduce`, and the processes it works with: they cost a run at most, and outlive nobody."""

import importlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from concurrent.futures import BrokenExecutor, ThreadPoolExecutor, wait
from pathlib import Path
from threading import Event

import pytest

from refimpl.experiments import CONTROL
from refimpl.runs.folder import list_runs

SMOKE = ("reproduce", "--profile", "smoke", "--arch", "fcnn", "--assumption", "literal", "--method", "l1-0.01")


@pytest.fixture(scope="module")
def executors():
    return importlib.import_module("refimpl_cli.executors")


def test_reproduce_in_a_smoke_test_then_again_without_work(refimpl, tmp_path):
    arguments = (*SMOKE, "--method", CONTROL, "--out", tmp_path / "all", "--jobs", 2)
    first = refimpl(*arguments)
    assert "reproducing: 3/3 runs" in first.stderr
    assert "l1 on W1 alone lowers its effective rank, too" in first.stdout
    runs, numbers, claims = first.stdout.splitlines()[-3:]
    assert re.match(r"runs: 3 of 3 done, \S+ core hours of training, at most \d+ MiB; ", runs)
    assert numbers == "numbers: of strokes-small, other data than the paper's: not compared"
    assert claims == "claims: 8 undecided; the record is of another profile: not compared"
    assert "reproduced" not in first.stdout
    found = json.loads((tmp_path / "all" / "verdict.json").read_text())
    assert [row["method"] for row in found["numbers"]] == ["natural", "l1-0.01", CONTROL]
    manifests = [run.manifest for run in list_runs(tmp_path / "all")]
    (cost,) = found["costs"]
    assert (cost["runs"], cost["estimated"]) == (3, 0)
    assert cost["core_hours"] == pytest.approx(sum(one["cpu_seconds"] for one in manifests) / 3600)
    assert cost["peak_memory_bytes"] == max(one["peak_memory_bytes"] for one in manifests) > 2**20
    began = time.monotonic()
    again = json.loads(refimpl(*arguments, "--json").stdout)
    assert again == found
    assert time.monotonic() - began < 30


def test_no_table_is_shown_of_effects_that_there_are_not(refimpl, tmp_path):
    said = refimpl("reproduce", "--profile", "smoke", "--arch", "cnn", "--method", "natural-continued", "--assumption",
                   "literal", "--out", tmp_path).stdout  # fmt: skip
    assert "core hours" in said
    assert "could have been shown" not in said


def test_the_runs_are_listed_with_a_command_for_each_which_does_it(refimpl, tmp_path):
    listed = json.loads(refimpl(*SMOKE, "--out", tmp_path / "a b", "--list", "--json").stdout)["runs"]
    assert [(row["run"], row["after"], row["done"]) for row in listed] == [
        ("fcnn-literal/natural-seed0", None, False),
        ("fcnn-literal/l1-0.01-seed0", "fcnn-literal/natural-seed0", False),
    ]
    assert not list(tmp_path.iterdir())
    natural, tuned = (shlex.split(row["command"])[1:] for row in listed)
    assert "natural-seed0 is not finished" in refimpl(*tuned, code=3).stderr
    refimpl(*natural)
    refimpl(*tuned)
    assert {run.status for run in list_runs(tmp_path)} == {"finished"}
    assert not (tmp_path / "a b" / "verdict.json").exists()
    lines = refimpl(*SMOKE, "--out", tmp_path / "a b", "--list").stdout.splitlines()
    assert lines == [listed[0]["command"], f"{listed[1]['command']}  # after fcnn-literal/natural-seed0"]
    assert "no run is called 'x'" in refimpl(*SMOKE, "--only", "x", code=2).stderr


def test_reproduce_refuses_what_there_is_none_of_and_leaves_no_folder(refimpl, tmp_path, monkeypatch, executors):
    monkeypatch.setattr(executors, "TIMEOUT", 0.2)
    out = ("--out", tmp_path / "none")
    assert "'early' is not one of 'adam'" in refimpl("reproduce", "--assumption", "early", *out, code=2).stderr
    asked = ("--arch", "cnn", "--method", "joint-0.001")
    assert "no method is called 'joint-0.001'" in refimpl("reproduce", *asked, *out, code=2).stderr
    assert "no Dask scheduler answers" in refimpl("reproduce", "--scheduler", "tcp://127.0.0.1:1", *out, code=2).stderr
    monkeypatch.setenv("REFIMPL_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    said = refimpl("reproduce", *out, code=3).stderr
    assert all(word in said for word in ("mnist was not found", "--profile smoke", "REFIMPL_DATA", "--data-dir"))
    assert not (tmp_path / "none").exists()


def alive(pid):
    try:
        status = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return status != "Z"


def ends(pid):
    for _ in range(200):
        if not alive(pid):
            return True
        time.sleep(0.05)
    return False


def test_a_process_that_is_killed_fails_its_call_alone(executors):
    with executors.processes(2) as pool:
        slow = pool.submit(time.sleep, 1.0)
        with pytest.raises(BrokenExecutor):
            pool.submit(os._exit, 1).result()
        assert pool.submit(divmod, 7, 2).result() == (3, 1)
        with pytest.raises(ZeroDivisionError) as caught:
            pool.submit(divmod, 7, 0).result()
        assert "in _serve" in caught.value.__notes__[0]
        assert slow.result() is None


def test_a_call_that_a_cluster_gives_up_fails_alone(executors):
    class GivenUp(Exception):
        pass

    def die():
        raise GivenUp

    with ThreadPoolExecutor(1) as workers:
        cluster = executors.Cluster(workers, GivenUp)
        with pytest.raises(BrokenExecutor):
            cluster.submit(die).result()
        assert cluster.submit(divmod, 7, 2).result() == (3, 1)
        with pytest.raises(ZeroDivisionError):
            cluster.submit(divmod, 7, 0).result()


def test_calls_are_lost_with_the_scheduler_but_for_those_taken_back(executors):
    begun, end = Event(), Event()
    with ThreadPoolExecutor(1) as workers:
        cluster = executors.Cluster(workers, RuntimeError)
        workers.submit(lambda: begun.set() or end.wait())
        begun.wait()
        lost, taken_back = cluster.submit(divmod, 7, 2), cluster.submit(divmod, 7, 2)
        assert taken_back.cancel()
        workers.shutdown(wait=False, cancel_futures=True)
        with pytest.raises(BrokenExecutor):
            lost.result(timeout=60)
        assert wait([taken_back], timeout=60).done == {taken_back}
        end.set()


def later(case):
    """In the second pass."""
    return pytest.param(case, marks=pytest.mark.slow)


PARENT = """
import os, sys, time
from refimpl_cli.executors import processes
if __name__ == "__main__":
    with processes(1) as pool:
        print(pool.submit(os.getpid).result(), flush=True)
        pool.submit(time.sleep, 600)
        try:
            time.sleep(600)
        except KeyboardInterrupt:
            pool.interrupt()
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, *map(later, (signal.SIGTERM, signal.SIGINT))])
def test_processes_end_with_the_one_that_started_them(tmp_path, number):
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as parent:
        worker = int(parent.stdout.readline())
        time.sleep(0.3)
        assert alive(worker)
        parent.send_signal(number)
        parent.wait(timeout=20)
        assert ends(worker)


@pytest.mark.parametrize("number", [signal.SIGINT, later(signal.SIGTERM)])
def test_an_interrupted_reproduction_says_that_it_goes_on_and_goes_on(refimpl, tmp_path, number):
    command = [sys.executable, "-m", "refimpl_cli", *SMOKE, "--out", str(tmp_path / "all"), "--jobs", "1"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        while not list(tmp_path.rglob("config.toml")):
            time.sleep(0.02)
        began = time.monotonic()
        process.send_signal(number)
        said = process.communicate(timeout=60)[1]
    assert process.returncode == 130, said
    assert "the same command continues" in said
    assert "Traceback" not in said
    assert time.monotonic() - began < 20
    refimpl(*SMOKE, "--out", tmp_path / "all", "--jobs", 1)
    assert [run.status for run in list_runs(tmp_path)] == ["finished"] * 2


def test_a_killed_worker_is_named_and_its_run_goes_on_later(refimpl, tmp_path):
    command = [sys.executable, "-m", "refimpl_cli", *SMOKE, "--out", str(tmp_path / "all"), "--jobs", "1"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        while not list(tmp_path.rglob("config.toml")):
            time.sleep(0.02)
        children = Path(f"/proc/{process.pid}/task").glob("*/children")
        for child in {int(pid) for file in children for pid in file.read_text().split()}:
            if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                os.kill(child, signal.SIGKILL)
        said = process.communicate(timeout=60)[1]
    assert process.returncode == 130, said
    assert "the process of fcnn-literal/natural-seed0 died" in said
    assert "2 runs not finished: the same command continues" in said
    assert "Traceback" not in said
    refimpl(*SMOKE, "--out", tmp_path / "all", "--jobs", 1)
    assert [run.status for run in list_runs(tmp_path)] == ["finished"] * 2


@pytest.mark.slow
def test_a_cluster_loses_nothing_when_a_worker_is_killed(tmp_path):
    """A real scheduler and two workers on the loopback; one is killed while it works."""
    pytest.importorskip("distributed", reason="Dask is not installed: pip install 'refimpl[dask]'")
    address = tmp_path / "scheduler.json"
    dask = [sys.executable, "-m", "distributed.cli.dask_scheduler"]
    worker = [sys.executable, "-m", "distributed.cli.dask_worker", "--scheduler-file", str(address), "--no-nanny",
              "--nthreads", "1", "--no-dashboard", "--host", "127.0.0.1"]  # fmt: skip
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": tmp_path}
    options = ["--scheduler-file", str(address), "--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
    processes = [subprocess.Popen([*dask, *options], **quiet)]
    try:
        while not address.exists():
            time.sleep(0.1)
        processes += [subprocess.Popen(worker, **quiet) for _ in range(2)]
        where = json.loads(address.read_text())["address"]
        out = tmp_path / "all"
        command = [sys.executable, "-m", "refimpl_cli", "reproduce", "--profile", "smoke", "--arch", "fcnn",
                   "--out", str(out), "--scheduler", where]  # fmt: skip
        processes.append(reproduction := subprocess.Popen(command, **quiet))
        while len(list(out.glob("*/*/config.toml"))) < 4:
            assert reproduction.poll() is None
            time.sleep(0.02)
        processes[2].kill()
        assert reproduction.wait(timeout=240) == 0
        runs = list_runs(out)
        assert len(runs) == 20
        assert {run.status for run in runs} == {"finished"}
        for run in runs:
            assert [line["epoch"] for line in run.history] == list(range(1, run.config.epochs + 1))
            assert (run.folder / "result.json").is_file()
    finally:
        for process in processes:
            process.kill()
            process.wait()
