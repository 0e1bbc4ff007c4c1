"""The configuration: strict at the door, the same after a round trip."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from refimpl.networks.architectures import lenet5

from refimpl import UsageError
from refimpl.runs.config import Config
from refimpl.runs.presets import METHODS, NATURAL
from refimpl.runs.toml import from_toml, to_toml

settings = st.fixed_dictionaries(
    {},
    optional={
        "seed": st.integers(0, 2**63 - 1),
        "epochs": st.integers(1, 10**6),
        "batch_size": st.integers(1, 10**4),
        "learning_rate": st.floats(1e-6, 10),
        "momentum": st.floats(0, 0.99),
        "dtype": st.sampled_from(["float32", "float64"]),
        "widths": st.lists(st.integers(1, 99), max_size=4).map(lambda hidden: (784, *hidden, 10)),
        "checkpoint_every": st.integers(1, 100),
        "threads": st.integers(1, 8),
        "l1": st.dictionaries(st.just("W1"), st.floats(0, 1)),
        "nuclear": st.dictionaries(st.just("W1"), st.floats(0, 1)),
        "joint": st.floats(0, 1),
        "proximal": st.booleans(),
        "watch": st.sampled_from(["auto", "none", "fooling", "mi", "all"]),
        "watch_examples": st.integers(1, 10**4),
        "adversarial": st.sampled_from(["none", "fgsm", "pgd"]),
        "weights_adversarial": st.floats(0, 1),
        "row_column": st.floats(0, 1),
        "eps": st.floats(0, 1),
        "clip": st.booleans(),
        "start": st.sampled_from(["", "runs/natural"]),
    },
)


low_rank_settings = st.fixed_dictionaries(
    {"low_rank": st.floats(0.01, 1)},
    optional={
        "tau": st.floats(1e-3, 10) | st.just(math.inf),
        "preconditioner": st.sampled_from(["scalar", "exact", "none"]),
        "momentum": st.floats(0, 0.99),
        "adversarial": st.sampled_from(["none", "fgsm", "pgd"]),
        "arch": st.sampled_from(["fcnn", "cnn", "lenet5"]),
    },
)


@given(low_rank_settings)
def test_toml_brings_low_rank_training_back(given_settings):
    config = Config.of(**given_settings)
    assert from_toml(to_toml(config), "here") == config


@given(settings)
def test_toml_brings_it_back(given_settings):
    config = Config(**given_settings)
    assert from_toml(to_toml(config), "here") == config


def test_the_defaults_are_the_papers():
    """Section 5: SGD, learning rate 0.001, batches of 128; and 240 epochs of MNIST, a reading."""
    config = Config()
    assert (config.optimizer, config.learning_rate, config.momentum, config.batch_size) == ("sgd", 0.001, 0.0, 128)
    assert config.widths == (784, 20, 20, 20, 20, 20, 10)
    assert config.epochs_for(60_000) == 240


def test_a_smaller_set_is_trained_for_as_many_steps():
    steps = [Config().epochs_for(n) * math.ceil(n / 128) for n in (60_000, 12_000, 1_000)]
    assert max(steps) / min(steps) < 1.01


def test_a_method_has_the_name_of_what_it_does():
    assert Config().method == "natural"
    assert Config(adversarial="pgd").method == "pgd"
    assert Config(l1={"W1": 0.01}, nuclear={"W1": 0.03}).method == "l1-0.01-nuclear-0.03"
    assert Config(l1={"W1": 0.01, "W2": 0.01}).method == "l1"
    assert Config(l1={"W1": 0.02}, nuclear={"W1": 0.03}).method == "l1-nuclear"
    assert Config(joint=0.001).method == "joint-0.001"
    assert Config(joint=0.002).method == "joint"
    assert Config(low_rank=0.5).method == "low-rank"
    assert Config(low_rank=0.5, adversarial="pgd").method == "low-rank-pgd"


def test_the_cnns_defaults_are_the_papers():
    """Section 5: batches of 64, learning rate 0.01 from scratch and 0.001 to fine-tune."""
    config, tuned = Config.of(arch="cnn"), Config.of(arch="cnn", start="runs/natural")
    assert (config.batch_size, config.learning_rate) == (64, 0.01)
    assert (tuned.batch_size, tuned.learning_rate) == (64, 0.001)
    assert from_toml("arch = 'cnn'\nbatch_size = 7", "here").batch_size == 7
    assert Config.of() == Config()


def test_lenet_5s_defaults_are_those_of_the_authors_of_low_rank_training():
    """Their program's: batches of 128, learning rate 0.1, momentum 0.3. Of Adam they say nothing."""
    config, adam = Config.of(arch="lenet5"), Config.of(arch="lenet5", optimizer="adam")
    assert (config.batch_size, config.learning_rate, config.momentum) == (128, 0.1, 0.3)
    assert (adam.batch_size, adam.learning_rate, adam.momentum) == (128, 0.001, 0.0)
    assert config.epochs_for(60_000) == 5
    assert (config.depth, config.network) == (4, lenet5())


def test_every_named_method_is_a_configuration_of_that_name():
    assert len(METHODS["fcnn"]) == 7 + 2  # the rows of Table 1 and the joint ones of Figures 2 and 3
    assert len(METHODS["cnn"]) == 7  # the rows of Table 2
    for arch, methods in METHODS.items():
        for name, settings in methods.items():
            assert Config.of(arch=arch, **(NATURAL | settings)).method == name


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("learning_rte = 0.1", "unknown setting 'learning_rte'; did you mean 'learning_rate'"),
        ("colour = 1", "unknown setting 'colour'; the settings are arch"),
        ("seed = 'zero'", "seed cannot be 'zero'"),
        ("seed = true", "seed cannot be True"),
        ("seed = -1", "seed must be at least 0"),
        ("epochs = 0", "epochs must be at least 1"),
        ("widths = [784, 'a', 10]", "widths cannot be"),
        ("widths = [784, 20]", "784 pixels to 10 classes"),
        ("widths = []", "widths must be two or more"),
        ("dtype = 'float16'", "dtype must be one of float32, float64"),
        ("arch = 'rnn'", "arch must be one of"),
        ("learning_rate = nan", "learning rate must be finite"),
        ("learning_rate = -1", "above 0"),
        ("momentum = 1.0", "below 1"),
        ("optimizer = 'adam'\nmomentum = 0.5", "momentum belongs to sgd"),
        ("seed = ", "is not TOML"),
        ("l1 = 0.01", "l1 must be a table"),
        ("[l1]\nW9 = 0.1", "a regularized layer must be one of W1, W2"),
        ("[nuclear]\nW1 = -0.1", "lambda must be finite and at least 0"),
        ("joint = nan", "lambda must be finite"),
        ("adversarial = 'gnm'", "adversarial must be one of none, fgsm, pgd"),
        ("eps = -0.1", "eps must be finite and at least 0"),
        ("clip = 1", "clip cannot be 1"),
        ("adversarial_share = 0.5", "needs an attack"),
        ("adversarial = 'pgd'\nadversarial_share = 0", "above 0 and at most 1, got 0"),
        ("adversarial = 'pgd'\nadversarial_share = 1.5", "above 0 and at most 1, got 1.5"),
        ("adversarial = 'pgd'\nadversarial_share = nan", "above 0 and at most 1"),
        ("proximal = true\noptimizer = 'adam'", "proximal steps have the length of sgd's"),
        ("arch = 'cnn'\njoint = 0.1", "filters do not chain"),
        ("arch = 'cnn'\n[l1]\nW5 = 0.1", "a regularized layer must be one of W1, W2, W3, W4"),
        ("arch = 'cnn'\nwidths = [784, 10]", "widths belong to fcnn"),
        ("padding = 'same'", "padding and activation belong to cnn"),
        ("arch = 'lenet5'\npadding = 'same'", "padding and activation belong to cnn, not to lenet5"),
        ("arch = 'lenet5'\nwidths = [784, 9, 10]", "widths belong to fcnn"),
        ("arch = 'lenet5'\njoint = 0.1", "filters do not chain"),
        ("arch = 'lenet5'\nmargin_reach = 0.1", "a CNN's filters are none"),
        ("arch = 'lenet5'\n[l1]\nW5 = 0.1", "a regularized layer must be one of W1, W2, W3, W4"),
        ("arch = 'cnn'\npadding = 'full'", "padding must be one of valid, same"),
        ("arch = 'cnn'\nactivation = 'gelu'", "activation must be one of relu, tanh, identity"),
        ("low_rank = 0", "above 0 % and at most 100 % of the full rank, got 0 %"),
        ("low_rank = 1.2", "got 120 %"),
        ("low_rank = nan", "got nan %"),
        ("low_rank = '50%'", "low_rank cannot be '50%'"),
        ("low_rank = 0.5\ntau = 0", "tau must be above 0, got 0; a condition number of 1 is the mode mean"),
        ("low_rank = 0.5\ntau = -0.1", "tau must be above 0"),
        ("low_rank = 0.5\ntau = 0.1\nlow_rank_mode = 'mean'", "it cannot be 0.1"),
        ("low_rank = 0.5\nlow_rank_mode = 'soft'", "must be one of clamp, mean"),
        ("low_rank = 0.5\npreconditioner = 'full'", "must be one of scalar, exact, none"),
        ("tau = 0.1", "belong to low-rank training: give a low_rank"),
        ("low_rank_mode = 'mean'", "belong to low-rank training"),
        ("low_rank = 0.5\noptimizer = 'adam'", "low-rank training has sgd's steps"),
        ("low_rank = 0.5\n[nuclear]\nW1 = 0.1", "are for full weights"),
        ("low_rank = 0.5\njoint = 0.1", "are for full weights"),
        ("low_rank = 0.5\nweights_adversarial = 0.1", "are for full weights"),
        ("low_rank = 0.5\nmargin_reach = 0.1", "are for full weights"),
        ("watch = 'rank'", "watch must be one of auto, none, fooling, mi, all"),
        ("watch_examples = 0", "watch_examples must be at least 1"),
    ],
)
def test_nonsense_is_refused_in_one_line(text, message):
    with pytest.raises(UsageError, match=message) as caught:
        from_toml(text, "here.toml")
    assert "\n" not in str(caught.value)
