"""Registries: a file in the package is found, an entry point is loaded, a name is taken once."""

import sys

import pytest

from refimpl import UsageError, registry
from refimpl.attacks import ATTACKS
from refimpl.networks import NETWORKS
from refimpl.optimizers import OPTIMIZERS
from refimpl.registry import Registry
from refimpl.regularizers import REGULARIZERS

MODULE = "from {package} import TOOLS\n\n@TOOLS.register({name!r})\nclass Tool:\n    pass\n"


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package with a registry and two modules that register; `sys.modules` is as before afterwards."""
    name = "package_of_tools"
    folder = tmp_path / name
    folder.mkdir()
    (folder / "__init__.py").write_text(
        f"from refimpl.registry import Registry\n\nTOOLS: Registry = Registry('tool', {name!r})\n"
    )
    for module, tool in (("first", "saw"), ("second", "axe")):
        (folder / f"{module}.py").write_text(MODULE.format(package=name, name=tool))
    monkeypatch.syspath_prepend(str(tmp_path))
    yield folder
    for loaded in [one for one in sys.modules if one.split(".")[0] == name]:
        del sys.modules[loaded]


def tools(folder) -> Registry:
    return __import__(folder.name).TOOLS


def test_what_a_package_registers_is_found_when_a_name_is_first_asked_for(package):
    found = tools(package)
    assert "package_of_tools.first" not in sys.modules
    assert found.names() == ("saw", "axe")
    assert found["axe"].__name__ == "Tool"
    assert "axe" in found
    assert "hammer" not in found
    assert [name for name, _ in found.items()] == ["saw", "axe"]


def test_a_new_file_is_all_that_a_new_thing_needs(package):
    (package / "third.py").write_text(MODULE.format(package=package.name, name="hammer"))
    assert tools(package).names() == ("saw", "axe", "hammer")


def test_another_name_is_refused_with_those_there_are(package):
    with pytest.raises(UsageError, match="unknown tool 'drill': choose one of saw, axe"):
        tools(package)["drill"]


def test_a_name_is_taken_once(package):
    (package / "third.py").write_text(MODULE.format(package=package.name, name="saw"))
    with pytest.raises(UsageError, match="there is a tool called 'saw' already"):
        tools(package).names()


def test_entry_points_of_the_group_are_loaded_after_the_package(package, monkeypatch):
    asked = []

    class EntryPoint:
        def load(self):
            tools(package).register("drill")("a drill")

    def entry_points(group):
        asked.append(group)
        return [EntryPoint()]

    monkeypatch.setattr(registry, "entry_points", entry_points)
    assert tools(package).names() == ("saw", "axe", "drill")
    assert tools(package)["drill"] == "a drill"
    assert asked == ["package_of_tools"]  # once


@pytest.mark.parametrize(
    ("known", "names"),
    [
        (ATTACKS, {"fgsm", "pgd", "gnm", "pgd-l2", "lora-pgd", "input-weight", "apgd", "square", "deepfool", "fmn"}
                  | {"ensemble", "universal", "noise", "random-signs"}),
        (NETWORKS, {"fcnn", "cnn", "lenet5"}),
        (OPTIMIZERS, {"sgd", "adam"}),
        (REGULARIZERS, {"l1", "nuclear", "joint", "margin-bound", "operator-norms", "rank-min", "rank-max"}
                       | {"spectral-norm", "conditioning"}),
    ],
    ids=["attacks", "networks", "optimizers", "regularizers"],
)  # fmt: skip
def test_the_registries_of_the_library(known, names):
    assert set(known.names()) == names
    assert known.package.startswith("refimpl.")
