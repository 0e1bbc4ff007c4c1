"""What is printed: no control characters, no broken names, no traceback when a reader or a user goes away."""

import io
import re
import subprocess
import sys

import pytest
from rich.console import Console

from refimpl.data import strokes
from refimpl.runs.config import Config
from refimpl.runs.folder import Run

REFIMPL = "from importlib.metadata import entry_points as find; find(name='refimpl')['refimpl'].load()()"
STEERS = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2028\u2029]")
HOSTILE = ("\x1b]0;x\x07", "[bold]", "[/]", ":warning:", "two\nlines", "c1\x9b31m", "back\x08", "\u202egnp", "ü 数")


@pytest.fixture
def console(refimpl):
    """The module that prints, loaded by the entry point."""
    return sys.modules["refimpl_cli.console"]


@pytest.fixture
def new_run():
    def create(folder):
        return Run.create(folder, Config(dataset="strokes-small", epochs=3), strokes(0, 20, 10))

    return create


@pytest.mark.parametrize("name", HOSTILE)
def test_a_runs_name_steers_no_terminal_and_is_no_markup(refimpl, new_run, tmp_path, name):
    new_run(tmp_path / name)
    line = refimpl("runs", tmp_path).stdout.splitlines()[1]
    assert not STEERS.search(line)
    shown = {HOSTILE[0]: r"\x1b]0;x\x07", "two\nlines": r"two\nlines", "c1\x9b31m": r"c1\x9b31m",
             "back\x08": r"back\x08", "\u202egnp": r"\u202egnp"}  # fmt: skip
    assert line.startswith(f"{tmp_path}/{shown.get(name, name)}  ")


def test_a_status_and_a_reason_steer_no_terminal(refimpl, new_run, tmp_path):
    run = new_run(tmp_path / "run")
    run.write_manifest(run.manifest | {"status": "failed", "reason": "\x1b[2Jloss [red]is[/red] nan\nat batch 3"})
    assert r"failed: \x1b[2Jloss [red]is[/red] nan\nat batch 3" in refimpl("runs", tmp_path).stdout


@pytest.mark.parametrize("say", ["note", "warn", "error_line"])
def test_every_message_is_one_line_without_control_characters(console, capsys, monkeypatch, say):
    for name in HOSTILE:
        getattr(console, say)(f"<{name}>")
        (line,) = capsys.readouterr().err.splitlines()
        assert line.endswith(f"<{console.printable(name)}>")
        assert not STEERS.search(line)


def test_a_name_that_is_not_utf_8_is_printed(console, capsys):
    console.note(b"\xff".decode(errors="surrogateescape"))
    assert capsys.readouterr().err == "\\udcff\n"


def test_an_error_and_a_usage_error_steer_no_terminal(refimpl):
    for arguments, code in ((("measure", "\x1b]0;x\x07"), 3), (("\x1b]0;x\x07",), 2), (("attack", "x", "\x07"), 2)):
        result = refimpl(*arguments, code=code)
        assert not STEERS.search(result.output)
        assert r"\x" in result.stderr


def test_words_wrap_at_blanks_and_names_never_break(console, capsys, monkeypatch):
    monkeypatch.setattr(console.out, "width", 80)
    name = "runs/fcnn-strokes-l1-0.01-nuclear-0.03-seed3"
    claim = "the effective rank of the product is at most that of each factor, whatever they are"
    console.table(("run", "claim", "test accuracy"), [(name, claim, "95.08 %"), ("b", "c", "1 %")], words=2)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    begin = lines[0].index("claim")
    first, *more = [line for line in lines if line.startswith((name, " " * begin)) and "accuracy" not in line]
    assert first.startswith(f"{name}  ")
    assert first.endswith("95.08 %")
    assert " ".join([first[begin:-9].strip(), *(line.strip() for line in more)]) == claim


def test_where_there_is_no_room_names_have_lines_of_their_own(console, capsys, monkeypatch):
    monkeypatch.setattr(console.out, "width", 50)
    name = "runs/fcnn-strokes-l1-0.01-nuclear-0.03-seed3"
    rows = [(name, "running", "l1-0.01", "95.08 %"), ("my run", "failed: loss is nan, and more so", "fgsm", "")]
    console.table(("run", "status", "method", "test accuracy"), rows, words=3)
    assert capsys.readouterr().out.splitlines() == [
        "run",
        "  status                    method   test accuracy",
        name,
        "  running                   l1-0.01        95.08 %",
        "my run",
        "  failed: loss is nan, and  fgsm",
        "  more so",
    ]


@pytest.mark.parametrize("width", [10, 40, 60, 80, 100])
def test_no_word_is_broken_at_any_width(console, capsys, monkeypatch, width):
    monkeypatch.setattr(console.out, "width", width)
    names = ("appendix-b-rank", "runs/fcnn-strokes-l1-0.01-nuclear-0.03-seed3", "a run with blanks")
    console.table(
        ("name", "claim", "value"), [(name, "a claim in a few words", "12.34 % ± 0.56") for name in names], words=2
    )
    printed = capsys.readouterr().out
    assert printed.split().count("claim") == 4
    assert all(len([line for line in printed.splitlines() if text in line]) >= 1 for text in names)
    assert printed.count("12.34 % ± 0.56") == 3


def test_wide_characters_are_two_columns(console, capsys):
    console.table(("name", "n"), [("数数", "1"), ("abcd", "22")])
    assert capsys.readouterr().out.splitlines() == ["name   n", "数数   1", "abcd  22"]


@pytest.mark.parametrize("width", [40, 60, 80])
@pytest.mark.parametrize(
    ("label", "total", "unit", "counter"),
    [
        ("training", 240, "epochs", "120/240 epochs"),
        ("train-images-idx3-ubyte", 26421880, "bytes", "120/26421880 bytes"),
        ("attacking (joint, [x])", 10_000, "images", "120/10000 images"),
    ],
)
def test_the_counter_is_seen_on_a_narrow_terminal(console, monkeypatch, width, label, total, unit, counter):
    screen = Console(file=io.StringIO(), force_terminal=True, width=width, color_system=None)
    monkeypatch.setattr(console, "err", screen)
    with console.Bar(label, total, unit) as bar:
        bar.update(120, "loss 0.1234  test accuracy 91.23 %")
    last = re.sub(r"\x1b\[[0-9?]*[A-Za-z]", "", screen.file.getvalue()).split("\r")[-1].strip("\n")
    assert counter in last
    assert len(last) <= width


def test_counts_are_of_one_or_of_several(console, capsys):
    assert [console.count(n, "epoch") for n in (0, 1, 2)] == ["0 epochs", "1 epoch", "2 epochs"]
    with console.Bar("training", 1, "epochs") as bar:
        bar.update(1)
    assert capsys.readouterr().err == "training: 1/1 epoch\n"


def test_a_command_can_be_pasted(console):
    assert console.command("train", "--resume", "my run") == "`refimpl train --resume 'my run'`"


def test_runs_of_a_folder_that_does_not_exist(refimpl, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (line,) = refimpl("runs", "nowhere", code=3).stderr.splitlines()
    assert line.startswith("refimpl: nowhere does not exist")
    (tmp_path / "empty").mkdir()
    for arguments in ((), ("empty",)):
        assert "no runs under" in refimpl("runs", *arguments).stderr


@pytest.mark.parametrize(
    ("file", "content", "wrong"),
    [
        ("config.toml", b'arch = "fc', "config.toml"),
        ("config.toml", b"\xff\xfe", "utf-8"),
        ("manifest.json", b'{"status": "fin', "manifest.json is damaged"),
        ("manifest.json", b"[1]", "Expected `object`"),
        ("manifest.json", b"{}", "status"),
        ("history.jsonl", b"{]\n", "history.jsonl, line 1 is damaged"),
        ("history.jsonl", b"[1]\n", "Expected `object`"),
    ],
)
def test_a_run_that_cannot_be_read_is_listed_with_what_is_wrong(refimpl, new_run, tmp_path, file, content, wrong):
    for name in ("a", "b", "c"):
        new_run(tmp_path / name)
    (tmp_path / "b" / file).write_bytes(content)
    _, first, damaged, last = refimpl("runs", tmp_path).stdout.splitlines()
    assert damaged.startswith(f"{tmp_path}/b  damaged: ")
    assert wrong in damaged
    assert "natural" in first
    assert "0/3" in last


def test_runs_shows_the_method_and_why_a_run_failed(refimpl, new_run, tmp_path):
    run = new_run(tmp_path / "run")
    run.write_manifest(run.manifest | {"status": "failed", "reason": "the loss is nan"})
    assert re.search(r"run  failed: the loss is nan  natural  strokes-small +0 +0/3$", refimpl("runs", tmp_path).stdout)


def test_a_mistyped_command_is_answered_with_the_one_meant(refimpl):
    assert "no such command 'trian'; did you mean train?" in refimpl("trian", code=2).stderr
    assert "no such command 'figrues'; did you mean figures?" in refimpl("figrues", code=2).stderr
    assert "no such command 'x'; there are train, sweep," in refimpl("x", code=2).stderr
    assert "No such option" in refimpl("--trian", code=2).stderr


@pytest.mark.parametrize("arguments", [["--help"], ["verify", "--help"], ["data", "list"], ["verify", "eq-2"]])
def test_a_reader_that_goes_away_is_no_bug(arguments):
    process = subprocess.Popen(
        [sys.executable, "-c", REFIMPL, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert process.wait(60) == 141
    assert not re.search("Traceback|Exception|Error", errors)


@pytest.mark.parametrize("arguments", [["runs"], ["measure", "nowhere"], ["trian"]])
def test_a_reader_of_errors_that_goes_away_is_no_bug(arguments, tmp_path):
    process = subprocess.Popen([sys.executable, "-c", REFIMPL, *arguments], stderr=subprocess.PIPE, cwd=tmp_path)
    process.stderr.close()
    assert process.wait(60) == 141


@pytest.mark.parametrize("closed", [">&-", ">&- 2>&-"])
def test_a_closed_standard_output_is_no_bug(closed, tmp_path):
    command = ["sh", "-c", f'"$0" -c "$1" data list {closed}', sys.executable, REFIMPL]
    result = subprocess.run(command, capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("module", ["click", "numpy", "refimpl", "refimpl.errors", "rich.console", "refimpl_cli.data"])
def test_ctrl_c_while_importing_is_one_line(module):
    code = f"""import sys
class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupt())
{REFIMPL}"""
    result = subprocess.run([sys.executable, "-c", code, "data", "list"], capture_output=True, text=True)
    assert (result.returncode, result.stdout, result.stderr) == (130, "", "refimpl: interrupted\n")


def test_a_bug_keeps_its_traceback(refimpl, monkeypatch):
    monkeypatch.setattr("refimpl_cli.doctor.environment", None)
    with pytest.raises(AssertionError, match="exit code 1") as caught:
        refimpl("doctor")
    assert isinstance(caught.value.__cause__, TypeError)
