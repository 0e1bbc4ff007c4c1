"""`refimpl exercise`: the list, a file with a hole, its check, the solution."""

import json
from pathlib import Path

from refimpl.exercises import EXERCISES, solved


def test_the_exercises_are_listed(refimpl):
    lines = refimpl("exercise").stdout.splitlines()
    assert [line.split()[0] for line in lines[1:]][: len(EXERCISES.names())] == list(EXERCISES.names())
    listed = json.loads(refimpl("exercise", "--json").stdout)["exercises"]
    assert [one["name"] for one in listed] == list(EXERCISES.names())


def test_from_the_hole_to_the_solution(refimpl):
    written = json.loads(refimpl("exercise", "tanh", "--json").stdout)
    assert written == {"exercise": "tanh", "file": "tanh.py", "written": True}
    path = Path("tanh.py")
    question = path.read_text()
    line = 1 + question.splitlines().index('    raise NotImplementedError("your code here")')
    assert f"tanh.py, line {line}: the hole is still there" in refimpl("exercise", "tanh", code=5).output
    assert path.read_text() == question
    path.write_text(
        question.replace('raise NotImplementedError("your code here")', "return dy * (1 + np.tanh(x) ** 2)")
    )
    assert "hint: a sign" in refimpl("exercise", "tanh", code=5).output
    failed = json.loads(refimpl("exercise", "tanh", "--json", code=5).stdout)
    assert failed["hint"].startswith("a sign")
    assert not failed["passed"]
    solution = refimpl("exercise", "tanh", "--solution").stdout
    assert json.loads(refimpl("exercise", "tanh", "--solution", "--json").stdout)["solution"] == solution
    path.write_text(solution)
    assert "tanh.py: passed" in refimpl("exercise", "tanh").stdout
    assert [p.name for p in Path().iterdir()] == ["tanh.py"]


def test_another_file_and_what_it_prints(refimpl):
    said = refimpl("exercise", "relu", "--file", "my relu.py").stdout
    assert "`refimpl exercise relu --file 'my relu.py'`" in said
    Path("my relu.py").write_text(solved(EXERCISES["relu"]) + '\n\nprint("hello")\n')
    found = refimpl("exercise", "relu", "--file", "my relu.py", "--json")
    assert json.loads(found.stdout)["passed"]
    assert "hello" in found.stderr
    assert "hello" in refimpl("exercise", "relu", "--file", "my relu.py").stdout


def test_what_means_nothing_is_refused(refimpl):
    assert "unknown exercise 'tan': choose one of tanh, relu" in refimpl("exercise", "tan", code=2).output
    assert "--solution needs the NAME" in refimpl("exercise", "--solution", code=2).output
    assert "--file needs the NAME" in refimpl("exercise", "--file", "x.py", code=2).output
    assert "leave --file out" in refimpl("exercise", "tanh", "--solution", "--file", "x.py", code=2).output
    assert "cannot be written" in refimpl("exercise", "tanh", "--file", "no/x.py", code=3).output
    assert not list(Path().iterdir())
