"""Our nets as classifiers of the Adversarial Robustness Toolbox."""

import importlib
import os
import subprocess
import sys

import numpy as np
import pytest

import refimpl as ri

art = pytest.importorskip("art.attacks.evasion", reason="ART is not installed: its classifiers are not tested")
interop = importlib.import_module("refimpl.interop.art")


def test_predictions_and_gradients_are_ours(network, drawn):
    params, images = drawn
    classifier, gradients = interop.Classifier(network, params), network.gradients(params)
    rows, y = images.reshape(len(images), -1), np.array([0, 1, 2, 0, 1])
    assert classifier.input_shape == images.shape[1:]
    assert np.array_equal(classifier.predict(images, batch_size=2), np.concatenate(
        [gradients.logits(rows[i : i + 2]) for i in (0, 2, 4)]
    ))  # fmt: skip
    found = classifier.loss_gradient(images, np.eye(classifier.nb_classes)[y])
    assert np.array_equal(found.reshape(rows.shape), gradients.loss(y)(rows))
    assert np.array_equal(found, classifier.loss_gradient(images, y))


def test_class_gradients_are_difference_quotients(network, drawn, rng):
    params, images = drawn
    classifier, step = interop.Classifier(network, params), 1e-6
    direction = rng.choice([-1.0, 1.0], images.shape)
    quotient = (classifier.predict(images + step * direction) - classifier.predict(images - step * direction)) / (
        2 * step
    )
    every = classifier.class_gradient(images)
    assert every.shape == (len(images), classifier.nb_classes, *images.shape[1:])
    assert (every * direction[:, None]).sum(axis=(2, 3, 4)) == pytest.approx(quotient, abs=1e-6)
    assert np.array_equal(classifier.class_gradient(images, 1), every[:, 1:2])
    labels = np.array([0, 2, 1, 1, 0])
    assert np.array_equal(classifier.class_gradient(images, labels), every[np.arange(5), labels][:, None])


def test_losses_are_cross_entropies(run):
    classifier = interop.Classifier(run.network, run.params)
    x, y = run.data.test.images[:7, None] / np.float32(255), run.data.test.labels[:7].astype(np.int64)
    logits = classifier.predict(x).astype(float)
    expected = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(7), y]
    assert classifier.compute_loss(x, y) == pytest.approx(expected, abs=1e-5)
    assert classifier.compute_loss(x, np.eye(10)[y], reduction="mean") == pytest.approx(expected.mean(), abs=1e-5)
    with pytest.raises(ri.UsageError, match="unknown reduction 'max'"):
        classifier.compute_loss(x, y, reduction="max")


def test_activations_are_the_hidden_representations(network, drawn):
    params, images = drawn
    classifier = interop.Classifier(network, params)
    hidden = network.hidden(params, images.reshape(len(images), -1))
    assert len(classifier.layer_names) == len(hidden)
    for i, (name, t) in enumerate(zip(classifier.layer_names, hidden, strict=True)):
        assert np.array_equal(classifier.get_activations(images, i, batch_size=10), t)
        assert np.array_equal(classifier.get_activations(images, name, batch_size=10), t)
    with pytest.raises(ri.UsageError, match="there are the arrays of the layers 0 to"):
        classifier.get_activations(images, len(hidden))


@pytest.mark.parametrize("clip", [(0.0, 1.0), None])
def test_pgd_of_art_finds_our_examples(run, attacked, clip):
    """To single precision, in which ART keeps images and steps, whatever the net is in."""
    params, x, y, ours = attacked
    if clip is None:
        attack = ri.attacks.PGD(eps=0.05)
        ours = attack.perturb(run.network.gradients(params), x.reshape(len(x), -1), y).reshape(x.shape)
    classifier = interop.Classifier(run.network, params, clip_values=clip)
    attack = art.ProjectedGradientDescentNumpy(
        classifier, eps=0.05, eps_step=0.005, max_iter=20, batch_size=len(x), verbose=False
    )
    assert attack.generate(x, y) == pytest.approx(ours, abs=1e-6)


@pytest.mark.parametrize(
    ("attack", "settings"),
    [
        ("FastGradientMethod", {"eps": 0.1}),
        (
            "AutoProjectedGradientDescent",
            {"eps": 0.1, "max_iter": 5, "nb_random_init": 1, "loss_type": None, "verbose": False},
        ),
        ("SquareAttack", {"eps": 0.1, "max_iter": 30, "verbose": False}),
        ("DeepFool", {"max_iter": 10, "verbose": False}),
    ],
)
def test_other_attacks_of_art_run_and_fool(run, attack, settings):
    x, y = run.data.test.images[:10, None] / np.float32(255), run.data.test.labels[:10]
    classifier = interop.Classifier(run.network, run.params)
    x_adv = getattr(art, attack)(classifier, **settings).generate(x, np.eye(10)[y])
    clean, attacked = ((classifier.predict(images).argmax(axis=1) == y).mean() for images in (x, x_adv))
    assert attacked < clean


def test_training_is_refused(run):
    with pytest.raises(ri.UsageError, match="refimpl train"):
        interop.Classifier(run.network, run.params).fit(np.zeros((1, 1, 28, 28)), np.zeros(1))


WITHOUT_PYTORCH = """
import importlib.util
import sys

class Missing:
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *more: None if name == "torch" else found(name, *more)
sys.meta_path.insert(0, Missing)

import numpy as np
from art.attacks.evasion import ProjectedGradientDescent
import refimpl as ri
from refimpl.interop.art import Classifier

run = ri.open_run(sys.argv[1])
x = run.data.test.images[:5, None] / np.float32(255)
classifier = Classifier(run.network, run.params)
attack = ProjectedGradientDescent(classifier, eps=0.05, eps_step=0.01, max_iter=3, verbose=False)
print(abs(attack.generate(x) - x).max())
"""


def test_it_needs_no_pytorch(folder, tmp_path):
    command = [sys.executable, "-c", WITHOUT_PYTORCH, str(folder / "runs" / "fcnn-seed0")]
    environment = os.environ | {"HOME": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert float(done.stdout) == pytest.approx(0.03, abs=1e-6)
