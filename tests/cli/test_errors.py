"""Errors on the command line: what is wrong, where and what to do in one line, and an exit code."""

import pytest

from refimpl.backend import cupy_trouble

QUICK = ("--dataset", "strokes-small", "--epochs", "1")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("train", "--backend", "cupy"), 2, "refimpl[cuda12]"),
        (("train", "--dataset", "mnits"), 2, "did you mean mnist"),
        (("train", "--data-dir", "nowhere"), 3, "nowhere is not a folder"),
        (("train", "--config", "nowhere.toml"), 2, "cannot be read"),
        (("train", *QUICK, "--learning-rate", "-1"), 2, "learning_rate must be"),
        (("train", *QUICK, "--learning-rate", "1e9"), 4, "training failed at epoch 1, batch"),
        (("train", *QUICK, "--widths", "784,ten"), 2, "'ten' is not a valid integer"),
        (("train", *QUICK, "--out", "."), 2, "exists"),
        (("train", *QUICK, "--l1", "7=0.1"), 2, "a regularized layer must be one of W1"),
        (("train", *QUICK, "--l1", "1=-0.1"), 2, "l1 layers W1 must be finite and at least 0"),
        (("train", *QUICK, "--nuclear", "first"), 2, "is not a list like 1=0.01"),
        (("train", *QUICK, "--joint", "nan"), 2, "joint lam must be finite"),
        (("train", *QUICK, "--adversarial-fraction", "0.5"), 2, "needs an attack"),
        (("train", *QUICK, "--proximal", "--optimizer", "adam"), 2, "adam"),
        (("train", "--resume", "nowhere", "--method", "pgd"), 2, "--resume keeps the run's own settings"),
        (("train", *QUICK, "--adversarial", "pgd", "--eps", "-0.1"), 2, "eps must be finite and at least 0"),
        (("train", *QUICK, "--from", "nowhere"), 3, "is not a run"),
        (("train", *QUICK, "--out", "/dev/null/run"), 3, "/dev/null/run cannot be created: Not a directory"),
        (("train", "--resume", "nowhere"), 3, "is not a run"),
        (("attack", "nowhere"), 3, "is not a run"),
        (("attack", "nowhere", "--eps", "-1"), 2, "eps must be finite and at least 0"),
        (("attack", "nowhere", "--attack", "fgms"), 2, "Invalid value"),
        (("measure", "nowhere"), 3, "is not a run"),
    ],
)
def test_errors_are_one_line_with_their_exit_code(refimpl, arguments, code, message):
    if "cupy" in arguments and cupy_trouble() is None:
        pytest.skip("CuPy works here: there is nothing to complain of")
    result = refimpl(*arguments, code=code)
    (line,) = [line for line in result.stderr.splitlines() if message in line]
    assert "Traceback" not in result.output
    if not line.startswith("Error:"):
        assert line.startswith("refimpl: ")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--eps", "0.1"), "--eps belongs to adversarial training: give --adversarial, one of apgd, "),
        (("--clip",), "--clip belongs to adversarial training: give --adversarial"),
        (("--no-clip",), "--clip belongs to adversarial training: give --adversarial"),
        (("--adversarial", "none", "--steps", "3"), "--steps belongs to adversarial training"),
        (("--method", "natural", "--rank", "3"), "--rank belongs to adversarial training: give --adversarial, one of"),
        (("--adversarial", "fgsm", "--steps", "3"), "pgd-l2, lora-pgd, pgd and universal, not to fgsm"),
        (("--method", "pgd", "--norm", "2"), "noise and universal, not to pgd"),
        (("--momentum", "0.5", "--optimizer", "adam"), "--momentum belongs to sgd, not to adam"),
        (("--beta1", "0.5"), "--beta1 belongs to adam, not to sgd"),
        (("--widths", "784,10", "--arch", "cnn"), "--widths belongs to fcnn, not to cnn"),
        (("--padding", "same"), "--padding belongs to cnn and lenet5, not to fcnn"),
        (("--margin-bound-eps", "0.1"), "--margin-bound-eps belongs to margin-bound: give --margin-bound, too"),
        (("--adversarial", "pgd", "--eps", "1.5"), "pgd eps must be finite and at least 0 and at most 1, got 1.5"),
    ],
)
def test_options_of_what_is_not_chosen_are_refused_by_name(refimpl, tmp_path, options, message):
    (line,) = refimpl("train", *QUICK, *options, code=2).stderr.splitlines()
    assert line.startswith("refimpl: ")
    assert message in line
    assert not list(tmp_path.iterdir())


class OutOfMemoryError(MemoryError):
    """As CuPy's."""


OutOfMemoryError.__module__ = "cupy.cuda.memory"


@pytest.mark.parametrize(
    "error",
    [OutOfMemoryError("Out of memory allocating 512 bytes"), RuntimeError("CUSOLVER_STATUS_ALLOC_FAILED")],
    ids=["CuPy's own", "a library's"],
)
def test_a_gpu_without_memory_is_a_line_and_a_usage_error(refimpl, monkeypatch, error):
    def fails(*arguments, **options):
        raise error

    monkeypatch.setattr("refimpl_cli.doctor.environment", fails)
    (line,) = refimpl("doctor", code=2).stderr.splitlines()
    assert line.startswith(f"refimpl: the GPU has not enough memory ({error}): fewer examples")
    assert "`--backend numpy`" in line


def test_another_error_of_the_interpreter_stays_a_bug(refimpl, monkeypatch):
    def fails(*arguments, **options):
        raise RuntimeError("a bug")

    monkeypatch.setattr("refimpl_cli.doctor.environment", fails)
    assert isinstance(refimpl("doctor", code=1).exception, RuntimeError)
