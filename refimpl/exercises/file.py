"""The file of an exercise: its question with a hole, or with the solution."""

import ast
import inspect
from pathlib import Path

from ..atomic import write_text
from ..errors import UsageError
from .exercise import Exercise

HEADER = '''"""Exercise {name}: {title}.

`refimpl exercise {name}` checks {name}.py, with `--file` another file.
The library has it in {where}.
"""

import numpy as np
from jaxtyping import Float, Int


'''

HOLE = '    raise NotImplementedError("your code here")\n'


def template(exercise: Exercise) -> str:
    """The file with the hole."""
    source = inspect.getsource(exercise.solution)
    (function,) = ast.parse(source).body
    assert isinstance(function, ast.FunctionDef)
    question = source.splitlines(keepends=True)[: function.body[0].end_lineno]
    return _header(exercise) + "".join(question) + HOLE


def solved(exercise: Exercise) -> str:
    """The file with the solution."""
    return _header(exercise) + inspect.getsource(exercise.solution)


def write(exercise: Exercise, path: Path) -> None:
    """Write the file with the hole. Raises `UsageError` where there is a file already: it is never overwritten."""
    if path.exists():
        raise UsageError(f"{path} is there already: it is not overwritten; --file takes another name")
    write_text(path, template(exercise))


def _header(exercise: Exercise) -> str:
    return HEADER.format(name=exercise.name, title=exercise.title, where=exercise.where)
