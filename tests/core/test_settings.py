"""Settings: what they take, what they refuse and in which words, and the tables they are written as."""

import math
from dataclasses import FrozenInstanceError, dataclass
from typing import ClassVar

import pytest

from refimpl import UsageError
from refimpl.attacks import ATTACKS, InputWeight, LoraPGD
from refimpl.networks import NETWORKS
from refimpl.optimizers import OPTIMIZERS
from refimpl.regularizers import REGULARIZERS, Nuclear
from refimpl.settings import PIXELS, Settings, by_layer, kinds, setting


@dataclass(frozen=True)
class Oven(Settings):
    name: ClassVar[str] = "oven"

    heat: float = setting(180.0, "Heat.", unit="degrees", above=0, at_most=250)
    trays: int = setting(1, "Trays.", at_least=1, below=5)
    mode: str = setting("fan", "Mode.", choices=("fan", "grill"))
    timer: float | None = setting(None, "Timer.", at_least=0)
    rank: int | float = setting(1, "A number or a fraction.", above=0)
    window: tuple[float, float] | None = setting(None, "Window.")
    sizes: tuple[int, ...] = setting((1, 2), "Sizes.", at_least=1)
    light: bool = setting(False, "Light.")
    limit: float = setting(1.0, "Limit.", at_least=0, infinite=True)
    layers: dict[str, float] = by_layer("Layers.")
    radii: float | dict[str, float] = setting(0.1, "Radii.", at_least=0)


def test_defaults_are_accepted_and_settings_cannot_change():
    oven = Oven()
    with pytest.raises(FrozenInstanceError):
        oven.heat = 1.0
    assert oven == Oven()
    assert [one.name for one, _ in kinds(Oven)] == list(vars(oven))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"heat": 0.0}, r"oven heat must be finite and above 0 and at most 250, got 0\.0"),
        ({"heat": 251}, "at most 250, got 251"),
        ({"heat": math.nan}, "must be finite .*, got nan"),
        ({"heat": -math.inf}, "must be finite .*, got -inf"),
        ({"heat": "hot"}, "oven heat cannot be 'hot': give a number$"),
        ({"heat": True}, "oven heat cannot be True"),
        ({"heat": None}, "oven heat cannot be None"),
        ({"trays": 5}, "oven trays must be finite and at least 1 and below 5, got 5"),
        ({"trays": 0}, "at least 1"),
        ({"trays": 1.0}, r"oven trays cannot be 1\.0: give a whole number$"),
        ({"trays": True}, "oven trays cannot be True"),
        ({"mode": "steam"}, "oven mode must be one of fan, grill, got 'steam'"),
        ({"mode": 1}, "oven mode must be one of fan, grill, got 1$"),
        ({"timer": -1}, "oven timer must be finite and at least 0"),
        ({"rank": "half"}, "oven rank cannot be 'half'"),
        ({"rank": 0}, "oven rank must be finite and above 0, got 0"),
        ({"window": [0]}, "oven window cannot be .*: give a list of 2 numbers$"),
        ({"window": [0, "b"]}, "oven window cannot be"),
        ({"sizes": [1, 2.5]}, "oven sizes cannot be"),
        ({"sizes": 3}, "oven sizes cannot be 3: give a list of whole numbers$"),
        ({"light": 1}, "oven light cannot be 1: give true or false$"),
        ({"limit": math.nan}, "oven limit must be at least 0, got nan"),
        ({"layers": {"W1": -1}}, r"oven layers W1 must be finite and at least 0, got -1"),
        ({"layers": {"W1": "x"}}, "oven layers cannot be .*: give a table of numbers$"),
        ({"layers": {"b1": 1}}, "oven layers is by layer, W1, W2, ...; got 'b1'"),
        ({"layers": {"": 1}}, "oven layers is by layer"),
        ({"radii": {"W": 1.0}}, "oven radii is by layer"),
        ({"radii": "x"}, "oven radii cannot be 'x': give a number or a table of numbers$"),
        ({"heet": 1.0}, "kitchen: unknown setting 'heet'; did you mean 'heat'?"),
        ({"zzz": 1.0}, "kitchen: unknown setting 'zzz'; choose of heat, trays,"),
        ([1], r"kitchen must be a table of settings, got \[1\]"),
        (None, "kitchen must be a table of settings, got None"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_name_and_its_limits(table, message):
    with pytest.raises(UsageError, match=message) as caught:
        Oven.from_table(table, "kitchen")
    assert str(caught.value).startswith("kitchen")
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("table", "name", "value"),
    [
        ({"heat": 100}, "heat", 100.0),
        ({"timer": 3}, "timer", 3.0),
        ({"rank": 3}, "rank", 3),
        ({"rank": 0.5}, "rank", 0.5),
        ({"window": [0, 1]}, "window", (0.0, 1.0)),
        ({"sizes": [3, 4, 5]}, "sizes", (3, 4, 5)),
        ({"sizes": []}, "sizes", ()),
        ({"limit": math.inf}, "limit", math.inf),
        ({"layers": {"W1": 1, "W12": 0.5}}, "layers", {"W1": 1.0, "W12": 0.5}),
        ({"radii": {"W2": 1}}, "radii", {"W2": 1.0}),
        ({"radii": 2}, "radii", 2.0),
    ],
)
def test_values_are_taken_in_the_type_of_the_field(table, name, value):
    found = getattr(Oven.from_table(table, "kitchen"), name)
    assert found == value
    assert type(found) is type(value)
    if isinstance(value, tuple):
        assert [type(one) for one in found] == [type(one) for one in value]


def test_a_table_makes_the_same_settings_again_and_leaves_out_what_is_none():
    oven = Oven(heat=200.0, window=(0.0, 1.0), sizes=(4,), layers={"W1": 0.5}, light=True)
    table = oven.table()
    assert table["sizes"] == [4]
    assert table["window"] == [0.0, 1.0]
    assert "timer" not in table
    assert Oven.from_table(table, "kitchen") == oven
    table["layers"]["W1"] = 7.0
    assert oven.layers == {"W1": 0.5}


@pytest.mark.parametrize("registry", [ATTACKS, NETWORKS, OPTIMIZERS, REGULARIZERS], ids=lambda one: one.kind)
def test_everything_registered_has_usable_defaults_and_a_help_for_each_setting(registry):
    for name, kind in registry.items():
        made = kind()
        assert kind.name == name
        assert kind.from_table(made.table(), "here") == made
        for one, _ in kinds(kind):
            about = one.metadata["about"]
            assert about.help.endswith((".", ")", "loss.", "fcnn.")), (name, one.name)
        if not hasattr(made, "norm"):
            with pytest.raises(UsageError, match="nothing"):
                kind.from_table({"nothing": 1}, "here")


def test_a_layer_norm_is_written_as_its_layers():
    term = Nuclear({"W1": 0.5, "W2": 1.0})
    assert term.table() == {"W1": 0.5, "W2": 1.0}
    assert Nuclear.from_table({"W1": 0.5, "W2": 1}, "here") == term
    for bad, message in (({"x": 1.0}, "by layer"), ({"W1": -1.0}, "at least 0"), (3, "must be a table of layers")):
        with pytest.raises(UsageError, match=f"^here.*{message}"):
            Nuclear.from_table(bad, "here")


def test_unions_and_flags_of_the_attacks():
    assert InputWeight(eps_weights={"W1": 0.1}).eps_weights == {"W1": 0.1}
    assert LoraPGD.from_table({"rank": 3}, "here").rank == 3
    assert LoraPGD.from_table({"rank": 0.5}, "here").rank == 0.5
    clip = next(one for one, _ in kinds(LoraPGD) if one.name == "clip")
    assert clip.metadata["about"].flag == PIXELS
