"""The configuration: strict at the edge, the same after a round trip."""

import math
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refimpl import UsageError
from refimpl.low_rank import LowRank
from refimpl.networks import FCNN, LeNet5, Network
from refimpl.optimizers import SGD
from refimpl.runs.config import Config
from refimpl.runs.presets import METHODS, merged
from refimpl.runs.toml import from_toml, to_toml

NAMES = st.sampled_from(["W1", "W2"])
LAMBDAS = st.dictionaries(NAMES, st.floats(1e-6, 1), min_size=1)


def tables(**optional: st.SearchStrategy) -> st.SearchStrategy:
    return st.fixed_dictionaries({}, optional=optional)


def chosen(**one_of: st.SearchStrategy) -> st.SearchStrategy:
    """A table with one of these tables."""
    return st.one_of([strategy.map(lambda table, name=name: {name: table}) for name, strategy in one_of.items()])


ATTACKS = chosen(
    fgsm=tables(eps=st.floats(0, 1), clip=st.just([0.0, 1.0])),
    pgd=tables(eps=st.floats(0, 1), clip=st.just([0.0, 1.0]), steps=st.integers(1, 50), seed=st.integers(0, 2**63)),
)
settings = tables(
    network=st.lists(st.integers(1, 99), max_size=4).map(lambda hidden: {"fcnn": {"widths": [784, 99, *hidden, 10]}}),
    optimizer=chosen(sgd=tables(learning_rate=st.floats(1e-6, 10), momentum=st.floats(0, 0.99))),
    attack=ATTACKS,
    regularizer=tables(
        l1=LAMBDAS,
        nuclear=LAMBDAS,
        joint=tables(lam=st.floats(1e-6, 1)),
        **{"operator-norms": tables(mu=st.floats(1e-6, 1))},
    ),
    seed=st.integers(0, 2**63 - 1),
    epochs=st.integers(1, 10**6),
    batch_size=st.integers(1, 10**4),
    dtype=st.sampled_from(["float32", "float64"]),
    checkpoint_every=st.integers(1, 100),
    threads=st.integers(1, 8),
    adversarial_weights=st.floats(0, 1),
    monitor=st.sampled_from(["auto", "none", "fooling", "mi", "all"]),
    monitor_examples=st.integers(1, 10**4),
    start=st.sampled_from(["", "runs/natural"]),
)
low_rank_settings = tables(
    network=chosen(fcnn=st.just({}), cnn=st.just({}), lenet5=st.just({})),
    low_rank=tables(
        fraction=st.floats(0.01, 1),
        tau=st.floats(1e-3, 10) | st.just(math.inf),
        preconditioner=st.sampled_from(["scalar", "exact", "none"]),
    ),
    optimizer=chosen(sgd=tables(momentum=st.floats(0, 0.99))),
    attack=ATTACKS,
)


@given(settings | low_rank_settings)
def test_toml_brings_it_back(table):
    config = Config.from_table(table)
    assert from_toml(to_toml(config), "here") == config


@given(settings)
def test_the_settings_are_those_given(table):
    found = Config.from_table(table).table()
    for name in table.keys() - {"regularizer"}:
        given_value = table[name]
        assert found[name] == (merged(found[name], given_value) if isinstance(given_value, dict) else given_value)


def test_proximal_steps_come_back():
    table = {"proximal": True, "regularizer": {"l1": {"W1": 0.01}}}
    config = Config.from_table(table)
    assert from_toml(to_toml(config), "here") == config
    assert config.proximal


def test_the_defaults_are_the_papers():
    """Section 5: SGD, learning rate 0.001, batches of 128; and 240 epochs of MNIST, an assumption."""
    config = Config()
    assert (config.optimizer, config.batch_size) == (SGD(learning_rate=0.001, momentum=0.0), 128)
    assert config.network == FCNN(widths=(784, 20, 20, 20, 20, 20, 10))
    assert config.epochs_for(60_000) == 240


def test_a_smaller_set_is_trained_for_as_many_steps():
    steps = [Config().epochs_for(n) * math.ceil(n / 128) for n in (60_000, 12_000, 1_000)]
    assert max(steps) / min(steps) < 1.01


@pytest.mark.parametrize(
    ("table", "method"),
    [
        ({}, "natural"),
        ({"attack": {"pgd": {}}}, "pgd"),
        ({"regularizer": {"l1": {"W1": 0.01}, "nuclear": {"W1": 0.03}}}, "l1-0.01-nuclear-0.03"),
        ({"regularizer": {"l1": {"W1": 0.01, "W2": 0.01}}}, "l1"),
        ({"regularizer": {"l1": {"W1": 0.02}, "nuclear": {"W1": 0.03}}}, "l1-nuclear"),
        ({"regularizer": {"joint": {"lam": 0.001}}}, "joint-0.001"),
        ({"regularizer": {"joint": {"lam": 0.002}}}, "joint"),
        ({"low_rank": {"fraction": 0.5}}, "low-rank"),
        ({"low_rank": {"fraction": 0.5}, "attack": {"pgd": {}}}, "low-rank-pgd"),
    ],
)
def test_a_method_has_the_name_of_what_it_does(table, method):
    assert Config.from_table(table).method == method


def test_the_cnns_defaults_are_the_papers():
    """Section 5: batches of 64, learning rate 0.01 from scratch and 0.001 to fine-tune."""
    config, tuned = (Config.from_table({"network": {"cnn": {}}, "start": start}) for start in ("", "runs/natural"))
    assert (config.batch_size, config.optimizer) == (64, SGD(learning_rate=0.01, momentum=0.0))
    assert (tuned.batch_size, tuned.optimizer) == (64, SGD(learning_rate=0.001, momentum=0.0))
    assert from_toml("batch_size = 7\n[network.cnn]", "here").batch_size == 7
    assert Config.from_table({}) == Config()


def test_lenet_5s_defaults_are_those_of_the_authors_of_low_rank_training():
    """Their program's: batches of 128, learning rate 0.1, momentum 0.3. Of Adam they say nothing."""
    config, adam = (
        Config.from_table({"network": {"lenet5": {}}, **more}) for more in ({}, {"optimizer": {"adam": {}}})
    )
    assert (config.batch_size, config.optimizer) == (128, SGD(learning_rate=0.1, momentum=0.3))
    assert (adam.batch_size, adam.optimizer.table()["learning_rate"]) == (128, 0.001)
    assert config.epochs_for(60_000) == 5
    assert config.network == LeNet5()


def test_every_named_method_is_a_configuration_of_that_name():
    assert len(METHODS["fcnn"]) == 7 + 2  # the rows of Table 1 and the joint ones of Figures 2 and 3
    assert len(METHODS["cnn"]) == 7  # the rows of Table 2
    for arch, methods in METHODS.items():
        for name, table in methods.items():
            assert Config.from_table({"network": {arch: {}}, **table}).method == name


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[optimizer.sgd]\nlearning_rte = 0.1", "unknown setting 'learning_rte'; did you mean 'learning_rate'"),
        ("colour = 1", "unknown setting 'colour'; choose of network"),
        ("seed = 'zero'", "seed cannot be 'zero'"),
        ("seed = true", "seed cannot be True"),
        ("seed = -1", "seed must be finite and at least 0"),
        ("seed = 1" + "0" * 400, "seed is too large"),
        ("epochs = 0", "epochs must be finite and at least 1"),
        ("threads = 1025", "threads must be finite and at least 1 and at most 1024, got 1025"),
        ("[network.fcnn]\nwidths = [784, 'a', 10]", "widths cannot be"),
        ("[network.fcnn]\nwidths = []", "widths must be two or more"),
        ("dtype = 'float16'", "dtype must be one of float32, float64"),
        ("[network.rnn]", "rnn"),
        ("[network.fcnn]\n[network.cnn]", "network must hold one table with its settings, such as network"),
        ("network = 'cnn'", "network must hold one table"),
        ("[optimizer.sgd]\nlearning_rate = nan", "learning_rate must be finite"),
        ("[optimizer.sgd]\nlearning_rate = -1", "above 0"),
        ("[optimizer.sgd]\nlearning_rate = 1" + "0" * 400, "learning_rate is too large"),
        ("[optimizer.sgd]\nmomentum = 1.0", "below 1"),
        ("[optimizer.adam]\nmomentum = 0.5", "optimizer.adam: unknown setting 'momentum'"),
        ("seed = ", "is not TOML"),
        ("seed = 1" + "0" * 5000, "is not TOML"),
        ("a = " + "[" * 10**5, "is not TOML"),
        ("[regularizer]\nl1 = 0.01", "l1 must be a table"),
        ("[regularizer.l1]\nW9 = 0.1", "a regularized layer must be one of W1, W2"),
        ("[regularizer.nuclear]\nW1 = -0.1", "W1 must be finite and at least 0"),
        ("[regularizer.joint]\nlam = nan", "lam must be finite"),
        ("[regularizer.l3]", "unknown regularizer 'l3'"),
        ("[attack.gnm]\neps = -0.1", "eps must be finite and at least 0"),
        ("[attack.fgsm]\neps = -0.1", "eps must be finite and at least 0"),
        ("[attack.fgsm]\nclip = 1", "clip cannot be 1"),
        ("[attack.input-weight]", "input-weight does not perturb inputs alone: choose one of"),
        ("adversarial_fraction = 0.5", "needs an attack"),
        ("adversarial_fraction = 0\n[attack.pgd]", "above 0 and at most 1, got 0"),
        ("adversarial_fraction = 1.5\n[attack.pgd]", "above 0 and at most 1, got 1.5"),
        ("adversarial_fraction = nan\n[attack.pgd]", "above 0 and at most 1"),
        ("proximal = true\n[optimizer.adam]", "proximal steps have the length of sgd's"),
        ("[network.cnn]\n[regularizer.joint]\nlam = 0.1", "dense networks only"),
        ("[network.cnn]\n[regularizer.l1]\nW5 = 0.1", "a regularized layer must be one of W1, W2, W3, W4"),
        ("[network.cnn]\nwidths = [784, 10]", "network.cnn: unknown setting 'widths'"),
        ("[network.fcnn]\npadding = 'same'", "network.fcnn: unknown setting 'padding'"),
        ("[network.lenet5]\nwidths = [784, 9, 10]", "network.lenet5: unknown setting 'widths'"),
        ("[network.lenet5]\n[regularizer.joint]\nlam = 0.1", "dense networks only"),
        ("[network.lenet5]\n[regularizer.margin-bound]\nlam = 0.1", "is derived for fcnn"),
        ("[network.lenet5]\n[regularizer.l1]\nW5 = 0.1", "a regularized layer must be one of W1, W2, W3, W4"),
        ("[network.cnn]\npadding = 'full'", "padding must be one of valid, same"),
        ("[network.cnn]\nactivation = 'gelu'", "activation must be one of tanh, relu, leaky-relu, identity"),
        ("[low_rank]\nfraction = 0", "low_rank: .*above 0.*got 0"),
        ("[low_rank]\nfraction = 1.2", "low_rank: .*at most 1.*got 1.2"),
        ("[low_rank]\nfraction = nan", "low_rank: .*got nan"),
        ("[low_rank]\nfraction = '50%'", "fraction cannot be '50%'"),
        ("[low_rank]\ntau = 0", "tau must be above 0"),
        ("[low_rank]\ntau = -0.1", "tau must be at least 0, got -0.1"),
        ("[low_rank]\ntau = 0.1\nmode = 'mean'", "it cannot be 0.1"),
        ("[low_rank]\nmode = 'soft'", "must be one of clamp, mean"),
        ("[low_rank]\npreconditioner = 'full'", "must be one of scalar, exact, none"),
        ("tau = 0.1", "unknown setting 'tau'"),
        ("low_rank = 0.5", "low_rank must be a table of settings, got 0.5"),
        ("[low_rank]\n[optimizer.adam]", "low-rank training has sgd's steps"),
        ("[low_rank]\n[regularizer.nuclear]\nW1 = 0.1", "are for full weights"),
        ("[low_rank]\n[regularizer.joint]\nlam = 0.1", "are for full weights"),
        ("adversarial_weights = 0.1\n[low_rank]", "are for full weights"),
        ("[low_rank]\n[regularizer.margin-bound]\nlam = 0.1", "are for full weights"),
        ("monitor = 'rank'", "monitor must be one of auto, none, fooling, mi, all"),
        ("monitor_examples = 0", "monitor_examples must be finite and at least 1"),
    ],
)
def test_nonsense_is_refused_in_one_line(text, message):
    with pytest.raises(UsageError, match=message) as caught:
        from_toml(text, "here.toml")
    assert str(caught.value).startswith("here.toml")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("flat", ["arch = 'cnn'", "learning_rate = 0.1", "l1 = 0.01", "widths = [784, 10]"])
def test_the_flat_format_of_earlier_versions_is_named(flat):
    with pytest.raises(UsageError, match=r"flat format of earlier versions.*\[network\.fcnn\]") as caught:
        from_toml(f"seed = 1\n{flat}", "here.toml")
    assert "\n" not in str(caught.value)


def test_a_configuration_is_toml_with_a_table_for_each_part():
    config = Config(low_rank=LowRank(fraction=0.5))
    found = tomllib.loads(to_toml(config))
    assert found["network"] == {"fcnn": {"widths": [784, 20, 20, 20, 20, 20, 10]}}
    assert found["low_rank"]["fraction"] == 0.5


class Plain(Network):
    """Somebody else's, which has no threads of its own."""

    name = "plain"
    forward = hidden = None

    def init(self, backend, seed=0, dtype="float32"):
        return {"W1": backend.asarray([[1.0]], dtype), "b1": backend.asarray([0.0], dtype)}


@pytest.mark.parametrize(("network", "blas"), [(FCNN(), 3), (Plain(), 3), (LeNet5(), 1)])
def test_threads_are_those_of_blas_but_for_networks_with_threads_of_their_own(network, blas):
    assert Config(network=network, threads=3).blas_threads == blas
