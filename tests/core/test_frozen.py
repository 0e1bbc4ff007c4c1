"""Dataclasses cannot be changed by whom they are handed to, and settings of attacks have no order."""

import importlib
import inspect
import pkgutil
from dataclasses import is_dataclass

import refimpl
from refimpl.training import Step

PACKAGES = ("attacks", "fast", "low_rank", "measures", "networks", "optimizers", "regularizers", "training")


def test_dataclasses_are_frozen_but_for_the_step_of_training():
    found = set()
    for package in PACKAGES:
        folder = importlib.import_module(f"refimpl.{package}")
        for module in pkgutil.iter_modules(folder.__path__, f"refimpl.{package}."):
            things = vars(importlib.import_module(module.name)).values()
            found |= {thing for thing in things if inspect.isclass(thing) and is_dataclass(thing)}
    ours = {kind for kind in found if kind.__module__.startswith(f"{refimpl.__name__}.")}
    assert len(ours) > 30
    for kind in ours:
        assert kind.__dataclass_params__.frozen is not issubclass(kind, Step), kind


def test_settings_of_attacks_are_given_by_name():
    for name, kind in refimpl.attacks.ATTACKS.items():
        parameters = inspect.signature(kind).parameters.values()
        assert all(parameter.kind is parameter.KEYWORD_ONLY for parameter in parameters), name
