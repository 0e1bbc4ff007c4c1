"""Exercises: a function with a hole, its checks, and hints that name a typical mistake.

Read `exercise`, what an exercise is and what an answer is held against; then `tasks`, the exercises themselves, one
file a subject. `file` writes the file with the hole, `check` tries what was written into it.
"""

from .check import CheckResult, check
from .exercise import EXERCISES, Exercise
from .file import solved, template, write

__all__ = ["EXERCISES", "CheckResult", "Exercise", "check", "solved", "template", "write"]
