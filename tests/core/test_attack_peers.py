"""Attacks against those of torchattacks and Foolbox, on a net with equal weights, in float64.

They need torch, torchattacks and foolbox, which the extra `test` does not have.
"""

import importlib

import numpy as np
import pytest
from backends import NUMPY
from numpy.testing import assert_allclose, assert_array_equal

from refimpl import FCNN
from refimpl.attacks import APGD, FGSM, FMN, PGD, Square, deepfool, fmn
from refimpl.attacks.apgd import ascent
from refimpl.attacks.losses import LOSSES, margin_loss, observed
from refimpl.attacks.norm_ball import ball, size
from refimpl.networks import Gradients

torch = pytest.importorskip("torch", reason="torch is not installed: no peer to compare with")
torchattacks = pytest.importorskip("torchattacks", reason="torchattacks is not installed: nothing to compare with")
foolbox = pytest.importorskip("foolbox", reason="foolbox is not installed: nothing to compare with")

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.usefixtures("unchecked"),
]

NET = FCNN((64, 24, 16, 10))
CLIP = (0.0, 1.0)
EPS = 0.05


@pytest.fixture(scope="module")
def case():
    """A net whose weights are large enough to have curved boundaries, as ours and in PyTorch, and inputs."""
    rng = np.random.default_rng(7)
    params = {name: 2 * p for name, p in NET.init(NUMPY, seed=3, dtype="float64").items()}
    modules = [torch.nn.Flatten()]
    for i in (1, 2, 3):
        layer = torch.nn.Linear(*params[f"W{i}"].shape[::-1], dtype=torch.float64)
        layer.weight.data, layer.bias.data = (torch.from_numpy(params[f"{kind}{i}"].copy()) for kind in "Wb")
        modules += [layer, torch.nn.Tanh()]
    model = torch.nn.Sequential(*modules[:-1]).eval().requires_grad_(False)
    x = rng.uniform(0.1, 0.9, size=(100, 64))
    y = NET.forward(params, x)[0].argmax(axis=-1)
    return Gradients(NET, params), model, x, y


def theirs(attack, x, y):
    """Examples of torchattacks, as rows."""
    found = attack(torch.from_numpy(x.reshape(-1, 1, 8, 8)), torch.from_numpy(y))
    return found.detach().numpy().reshape(len(x), -1)


def foolboxed(model, attack, x, y):
    """Examples of Foolbox, as rows."""
    wrapped = foolbox.PyTorchModel(model, bounds=CLIP, device="cpu")
    images, labels = torch.from_numpy(x.reshape(-1, 1, 8, 8)), torch.from_numpy(y)
    found = attack.run(wrapped, images, foolbox.criteria.Misclassification(labels))
    return found.detach().numpy().reshape(len(x), -1)


def fooled(target, x, y):
    return target.logits(x).argmax(axis=-1) != y


def starts_of_torchattacks(x, norm):
    """The random start of its APGD at seed 0: scaled so that the largest pixel, or the length, is eps."""
    torch.random.manual_seed(0)
    if norm == "inf":
        t = 2 * torch.rand(len(x), 1, 8, 8) - 1
        t = t / t.reshape(len(x), -1).abs().max(dim=1)[0].reshape(-1, 1, 1, 1)
    else:
        t = torch.randn(len(x), 1, 8, 8)
        t = t / (t.pow(2).sum(dim=(1, 2, 3), keepdim=True).sqrt() + 1e-12)
    return t.numpy().reshape(len(x), -1).astype(np.float64)


class PapersAPGD(torchattacks.APGD):
    """Its APGD with the paper's count of rising steps: strict, and from the loss at the start, for which it takes 0."""

    def check_oscillation(self, x, j, k, y5, k3=0.75):
        losses = np.concatenate([self.first[None], x])
        return sum(losses[j + 1 - i] > losses[j - i] for i in range(k)) < k * k3


@pytest.mark.parametrize("loss", ["ce", "dlr"])
@pytest.mark.parametrize(("norm", "eps"), [("inf", EPS), ("2", 0.3)])
def test_apgd_finds_the_points_of_torchattacks_from_its_start(case, norm, eps, loss):
    """In 100 steps, of which both round the checkpoints alike; with DLR in balls where few are fooled.

    Beyond the boundary DLR has no bound and depends on rounding.
    """
    eps = eps / 10 if loss == "dlr" else eps
    target, model, x, y = (one[:40] if isinstance(one, np.ndarray) else one for one in case)
    at = observed(target, LOSSES[loss][0], y)
    start = np.clip(x + eps * starts_of_torchattacks(x, norm), *CLIP)
    attack = PapersAPGD(model, norm={"inf": "Linf", "2": "L2"}[norm], eps=eps, steps=100, loss=loss)
    attack.first = at(start).value
    torch.random.manual_seed(0)
    best, *_ = attack.attack_single_run(torch.from_numpy(x.reshape(-1, 1, 8, 8)), torch.from_numpy(y))
    best = best.detach().numpy().reshape(len(x), -1)
    ours = ascent(lambda p: at(p)._replace(fooled=np.zeros(len(x), bool)), start, ball(x, eps, norm, CLIP), 100)
    assert_allclose(at(ours).value.mean(), at(best).value.mean(), rtol=1e-3)
    assert (np.abs(ours - best).max(axis=-1) < 1e-6).mean() > 0.9


@pytest.mark.parametrize("loss", ["ce", "dlr"])
def test_apgd_fools_as_many_as_torchattacks(case, loss):
    target, model, x, y = case
    eps = 0.02
    ours = fooled(target, APGD(eps=eps, clip=CLIP, loss=loss, steps=30).perturb(target, x, y), y)
    peer = theirs(torchattacks.APGD(model, eps=eps, steps=30, loss=loss), x, y)
    assert 0.1 < ours.mean() < 0.9
    assert abs(ours.mean() - fooled(target, peer, y).mean()) <= 0.01


def test_targeted_apgd_fools_as_many_as_torchattacks(case):
    target, model, x, y = case
    eps = 0.02
    ours = fooled(target, APGD(eps=eps, clip=CLIP, loss="dlr", targeted=True, steps=20).perturb(target, x, y), y)
    peer = theirs(torchattacks.APGDT(model, eps=eps, steps=20, n_classes=10), x, y)
    assert abs(ours.mean() - fooled(target, peer, y).mean()) <= 0.003


class WholeSquare(torchattacks.Square):
    """Its Square, which places squares at the last row and column, too."""

    def random_int(self, low=0, high=1, shape=(1,)):
        return super().random_int(low, high + 1, list(shape))


def test_square_fools_as_many_as_torchattacks(case):
    """Random searches differ by their draws: within four of 100 inputs."""
    target, model, x, y = case
    eps = 0.04
    ours = fooled(target, Square(eps=eps, clip=CLIP, queries=300).perturb(target, x, y), y)
    peer = theirs(WholeSquare(model, eps=eps, n_queries=300, seed=0), x, y)
    assert 0.1 < ours.mean() < 0.9
    assert abs(ours.mean() - fooled(target, peer, y).mean()) <= 0.04


@pytest.mark.parametrize("norm", ["inf", "2"])
def test_deepfool_gives_the_examples_of_foolbox(case, norm):
    target, model, x, y = case
    attack = {"inf": foolbox.attacks.LinfDeepFoolAttack, "2": foolbox.attacks.L2DeepFoolAttack}[norm](steps=50)
    peer = foolboxed(model, attack, x, y)
    ours = deepfool(lambda at, rows: target.margins(y[rows])(at), x, norm=norm, clip=CLIP)
    assert_allclose(ours, peer, rtol=1e-5, atol=1e-6)
    assert fooled(target, ours, y).all()


class ProjectingL2FMN(foolbox.attacks.L2FMNAttack):
    """Foolbox's, with the projection of the paper."""

    def project(self, x, x0, epsilon):
        eta = x - x0
        norms = foolbox.devutils.flatten(eta).norms.l2(axis=-1).maximum(1e-12)
        return x0 + eta * foolbox.devutils.atleast_kd((epsilon / norms).minimum(1), x.ndim)


@pytest.mark.parametrize(("norm", "attack"), [("inf", foolbox.attacks.LInfFMNAttack), ("2", ProjectingL2FMN)])
def test_fmn_gives_the_examples_of_foolbox(case, norm, attack, monkeypatch):
    """For 10 steps without the millionth that ours goes beyond the linearised boundary; in 40 the same distances.

    There a point can be so near the boundary that its rounding decides whether it fools.
    """
    target, model, x, y = case
    loss = observed(target, margin_loss, y)
    ours, peer = fmn(loss, x, steps=40, norm=norm, clip=CLIP), foolboxed(model, attack(steps=40), x, y)
    assert_allclose(size(ours - x, norm), size(peer - x, norm), rtol=0.01)
    monkeypatch.setattr(importlib.import_module("refimpl.attacks.fmn"), "BEYOND", 1.0)
    ours, peer = fmn(loss, x, steps=10, norm=norm, clip=CLIP), foolboxed(model, attack(steps=10), x, y)
    assert_allclose(ours, peer, atol=1e-6)


def test_the_projection_of_foolboxs_l2_fmn_projects_nothing():
    import eagerpy as ep

    x0, radius = ep.astensor(torch.zeros(1, 1, 2, 2)), ep.astensor(torch.full((1,), 0.1))
    moved = foolbox.attacks.L2FMNAttack().project(x0 + 1.0, x0, radius)
    assert_allclose(moved.numpy(), 1.0)
    assert_allclose(ProjectingL2FMN().project(x0 + 1.0, x0, radius).numpy(), 0.05)
    ours = FMN(norm="2", eps=0.1, steps=3).perturb(*_tiny())
    assert size(ours - _tiny()[1], "2").max() <= 0.1


def _tiny():
    net = FCNN((4, 3))
    return Gradients(net, net.init(NUMPY, dtype="float64")), np.full((2, 4), 0.5), np.zeros(2, int)


@pytest.mark.parametrize("aim", [0, 7])
def test_targeted_fgsm_and_pgd_give_the_examples_of_torchattacks(case, aim):
    target, model, x, y = case
    others = y != aim
    pairs = [
        (FGSM(target_class=aim, clip=CLIP), torchattacks.FGSM(model, eps=EPS)),
        (PGD(target_class=aim, clip=CLIP), torchattacks.PGD(model, EPS, alpha=EPS / 10, steps=20, random_start=False)),
    ]
    for ours, peer in pairs:
        peer.set_mode_targeted_by_label(quiet=True)
        labels = np.full(others.sum(), aim)
        assert_allclose(ours.perturb(target, x[others], y[others]), theirs(peer, x[others], labels), atol=1e-12)
    assert_array_equal(y[others] == aim, False)
