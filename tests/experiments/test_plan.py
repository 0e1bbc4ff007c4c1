"""The plan of the paper's experiments: every row of its tables, under every assumption."""

import pytest

from refimpl.attacks import PGD
from refimpl.errors import UsageError
from refimpl.experiments import ACCURACY, ASSUMPTIONS, CONTROL, plan, plans
from refimpl.networks import CNN
from refimpl.optimizers import SGD, Adam
from refimpl.regularizers import L1, Nuclear
from refimpl.runs.config import Config
from refimpl.runs.presets import METHODS


def test_the_plan_holds_every_row_of_the_tables_and_a_control():
    for arch in ("fcnn", "cnn"):
        runs = plan("paper", arch, ["literal"], seeds=[0])
        assert {run.method for run in runs} == {*METHODS[arch], CONTROL} >= set(ACCURACY[arch])
        assert runs[0].source is None
        assert {run.source for run in runs[1:]} == {runs[0].name}
        assert len({run.name for run in runs}) == len(runs)
        (control,) = (run for run in runs if run.method == CONTROL)
        assert control.config.method == "natural"
        assert {run.config.epochs for run in runs[1:]} == {control.config.epochs}  # as long as every other
    assert {run.config.optimizer.learning_rate for run in plan("paper", "cnn", ["literal"], seeds=[0])[1:]} == {0.001}
    adam = [run for run in plan("paper", "fcnn", ["adam"]) if run.config.attack]
    assert {(run.config.adversarial_fraction, run.config.optimizer.name) for run in adam} == {(0.5, "adam")}
    assert {run.config.seed for run in adam} == {0, 1, 2, 3, 4}


def test_every_assumption_can_be_run_and_says_what_it_changes():
    for arch, assumptions in ASSUMPTIONS.items():
        for name, assumption in assumptions.items():
            runs = {run.method: run.config for run in plan("paper", arch, [name], seeds=[0])}
            assert runs["natural"].epochs == assumption.natural["epochs"]
            assert lambdas(runs["l1-0.01"])["l1"]["W1"] == pytest.approx(0.01 * assumption.lambdas)
            assert runs["pgd"].adversarial_fraction == assumption.adversarial.get("adversarial_fraction", 1.0)
            assert (runs["natural"].regularizers, runs["natural"].adversarial_fraction) == ((), 1.0)
    (_, joint) = plan("paper", "fcnn", ["adam-lambda-10"], [0], ["joint-0.001"])
    assert lambdas(joint.config) == {"joint": {"lam": 0.01}}


def lambdas(config):
    return {term.name: term.table() for term in config.regularizers}


def test_the_settings_of_an_assumption_are_written_out_once():
    """Adam, a tenth of every lambda, both norms: by hand."""
    (natural, run) = plan("paper", "fcnn", ["adam-lambda-0.1"], [2], ["l1-0.01-nuclear-0.03"])
    shared = {"dataset": "mnist", "seed": 2, "optimizer": Adam(learning_rate=0.001), "monitor": "all"}
    assert natural.config == Config(**shared, epochs=150)
    terms = (L1({"W1": 0.01 * 0.1}), Nuclear({"W1": 0.03 * 0.1}))
    assert run.config == Config(**shared, epochs=40, regularizers=terms, start="fcnn-adam-lambda-0.1/natural-seed2")
    (_, pgd) = plan("paper", "cnn", ["half-clean"], [0], ["pgd"])
    assert pgd.config == Config(
        network=CNN(), dataset="fashion-mnist", optimizer=SGD(learning_rate=0.001), batch_size=64, epochs=8,
        attack=PGD(), adversarial_fraction=0.5, monitor="fooling", checkpoint_every=1,
        start="cnn-half-clean/natural-seed0",
    )  # fmt: skip


def test_clipped_pixels_are_those_of_every_attack():
    runs = {run.method: run.config for run in plan("paper", "fcnn", ["adam-clipped"], [0])}
    assert runs["pgd"].attack == PGD(clip=(0.0, 1.0))
    assert runs["natural"].attack is None
    assert {attack.clip for run in runs.values() for attack in run.monitored_attacks()} == {(0.0, 1.0)}
    unclipped = plan("paper", "fcnn", ["adam-long"], [0])
    assert {attack.clip for run in unclipped for attack in run.config.monitored_attacks()} == {None}


def test_a_loss_summed_over_the_batch_is_a_longer_step_and_a_smaller_lambda():
    """W - 0.001 (sum of gradients + lambda G) = W - 0.128 (their mean + lambda / 128 G)."""
    (_, run) = plan("paper", "fcnn", ["summed"], seeds=[0], methods=["l1-0.01"])
    rate = run.config.optimizer.learning_rate
    assert rate / run.config.batch_size == pytest.approx(0.001)
    assert rate * lambdas(run.config)["l1"]["W1"] == pytest.approx(0.001 * 0.01)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("fast", "fcnn"), "no profile is called 'fast': choose one of smoke, quick, paper"),
        (("smoke", "cnn", ["adam"]), "no assumption for cnn is called 'adam': choose one of literal, half-clean"),
        (("smoke", "fcnn", ["literal"], [0], ["l2"]), "no method of fcnn is called 'l2'"),
    ],
)
def test_an_unknown_name_is_refused(arguments, message):
    with pytest.raises(UsageError, match=message):
        plan(*arguments)


def test_of_both_nets_those_are_planned_that_have_what_is_asked_for():
    assert {run.config.arch for run in plans("smoke")} == {"fcnn", "cnn"}
    joint = plans("smoke", methods=["joint-0.001"])
    assert {run.config.arch for run in joint} == {"fcnn"}
    both = plans("smoke", assumptions=["literal", "adam"], methods=["pgd"])
    assert {run.name.split("/")[0] for run in both} == {"fcnn-literal", "fcnn-adam", "cnn-literal"}


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"archs": ["cnn"], "methods": ["joint-0.001"]}, "no method is called 'joint-0.001': choose one of natural, "),
        ({"archs": ["cnn"], "assumptions": ["adam"]}, "no assumption is called 'adam': choose one of literal, half"),
        ({"methods": ["pgd", "l2"]}, "no method is called 'l2'"),
        ({"assumptions": ["adam"], "methods": ["l1-0.01-nuclear-0.5"]}, "no net has adam and l1-0.01-nuclear-0.5"),
        ({"archs": ["fcnn", "cnn"], "methods": ["joint-0.001"]}, "no method of cnn is called 'joint-0.001'"),
    ],
)
def test_what_would_run_natural_training_alone_is_refused(asked, message):
    with pytest.raises(UsageError, match=message):
        plans("smoke", **asked)
