"""The audit is itself audited: a sound net turns no check red; a broken one exactly those that are meant for it."""

import json
import subprocess
import sys

import broken_nets
import pytest
from broken_nets import CASES, MORE

from refimpl.audit import CHECKS

NEVER_RED = {"saturation", "loss-surface", "weight-scale", "worst-case"}


def colours(cases):
    """Of every check, by case: in a process of its own, all cases in one."""
    command = [sys.executable, broken_nets.__file__, *cases]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def red(found):
    return {name for name, colour in found.items() if colour == "red"}


@pytest.fixture(scope="module")
def cases():
    return colours(CASES)


@pytest.fixture(scope="module")
def more():
    return colours(MORE)


@pytest.mark.parametrize("name", CASES)
def test_exactly_the_checks_that_are_meant_turn_red(cases, name):
    assert red(cases[name]) == CASES[name][1]
    assert list(cases[name]) == list(CHECKS.names())


@pytest.mark.slow
@pytest.mark.parametrize("name", MORE)
def test_exactly_the_checks_that_are_meant_turn_red_in_more_cases(more, name):
    assert red(more[name]) == MORE[name][1]


def test_every_check_that_can_be_red_has_a_case_that_turns_it_red():
    assert set.union(*(expected for _, expected in (CASES | MORE).values())) == set(CHECKS.names()) - NEVER_RED


def test_on_a_sound_net_nothing_is_left_undone(cases):
    assert "grey" not in cases["a sound net"].values()
