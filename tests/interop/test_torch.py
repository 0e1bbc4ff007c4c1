"""Our nets as PyTorch modules, attacked by Foolbox and torchattacks; PyTorch's modules, attacked by us."""

import copy
import importlib

import numpy as np
import pytest

import refimpl as ri

torch = pytest.importorskip("torch", reason="torch is not installed: networks as its modules are not tested")
interop = importlib.import_module("refimpl.interop.torch")

CLOSE = {"float32": 1e-6, "float64": 1e-12}
"""Of pixels: a few roundings."""


def test_forward_and_backward_passes_are_ours(network, drawn):
    params, images = drawn
    module, x = interop.Module(network, params), torch.tensor(images, requires_grad=True)
    ours, tape = network.forward(params, images.reshape(len(images), -1))
    logits = module(x)
    assert logits.detach().numpy() == pytest.approx(ours, abs=1e-14)
    dz = torch.randn(logits.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    (dx,) = torch.autograd.grad(logits, x, dz)
    assert dx.numpy().reshape(len(images), -1) == pytest.approx(ri.input_gradient(tape, dz.numpy()), abs=1e-13)


def test_gradcheck_of_pytorch_finds_both_gradients_right(network, drawn):
    params, images = drawn
    module = interop.Module(network, params).requires_grad_()
    x = torch.tensor(images[:2], requires_grad=True)
    names, values = zip(*module.named_parameters(), strict=True)

    def passes(x, *values):
        return torch.func.functional_call(module, dict(zip(names, values, strict=True)), x)

    assert torch.autograd.gradcheck(passes, (x, *values), fast_mode=True)


def test_gradients_are_those_of_pytorchs_own_layers(network, drawn):
    params, images = drawn
    ours, theirs = interop.Module(network, params), sequential_of(network, params)
    for module in (ours, theirs):
        assert not module.training
    x, y = torch.tensor(images), torch.tensor([0, 1, 2, 0, 1])
    found = []
    for module in (ours, theirs):
        leaf = x.clone().requires_grad_()
        torch.nn.functional.cross_entropy(module(leaf), y).backward()
        found.append(leaf.grad.numpy())
    assert found[0] == pytest.approx(found[1], abs=1e-15, rel=1e-12)


def sequential_of(network, params):
    module = interop.sequential(network, params)
    assert all(isinstance(layer, torch.nn.Module) and type(layer).__module__.startswith("torch") for layer in module)
    return module


def test_nothing_done_in_place_reaches_the_tape(run):
    module = interop.Module(run.network, run.params).requires_grad_()
    pixels = np.random.default_rng(0).random((3, 784)).astype(np.float32)

    def gradients(disturb):
        x = torch.tensor(pixels)
        logits = module(x)
        loss = torch.nn.functional.cross_entropy(logits, torch.tensor([0, 1, 2]))
        if disturb:
            x.zero_()
            for p in module.parameters():
                p.data = p.data.clone()
        return torch.autograd.grad(loss, list(module.parameters()))

    for calm, disturbed in zip(gradients(False), gradients(True), strict=True):
        assert torch.equal(calm, disturbed)


def test_parameters_are_copies_that_pytorch_can_train(run):
    before = copy.deepcopy(run.params)
    module = interop.Module(run.network, run.params).requires_grad_()
    x = torch.tensor(run.data.train.images[:200, None]) / 255
    y = torch.tensor(run.data.train.labels[:200]).long()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    losses = []
    for _ in range(3):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(module(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[2] < losses[1] < losses[0]
    assert all(np.array_equal(before[name], run.params[name]) for name in before)
    assert not all(np.array_equal(before[name], p.detach().numpy()) for name, p in module.named_parameters())


def test_second_derivatives_are_refused(run):
    module, x = interop.Module(run.network, run.params), torch.zeros(1, 784, requires_grad=True)
    (dx,) = torch.autograd.grad((module(x) ** 2).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="trying to differentiate twice"):
        dx.sum().backward()


def test_inputs_of_another_precision_are_refused(run, unchecked):
    with pytest.raises(ri.UsageError, match="expected inputs float32"):
        interop.Module(run.network, run.params)(torch.zeros(1, 1, 28, 28, dtype=torch.float64))
    double = interop.Module(run.network, run.params).double()
    assert double(torch.zeros(1, 1, 28, 28, dtype=torch.float64)).dtype == torch.float64


def test_pgd_of_torchattacks_finds_our_examples(run, attacked):
    torchattacks = pytest.importorskip(
        "torchattacks", reason="torchattacks is not installed: its attacks are not tried"
    )
    params, x, y, ours = attacked
    attack = torchattacks.PGD(interop.Module(run.network, params), eps=0.05, alpha=0.005, steps=20, random_start=False)
    theirs = attack(torch.tensor(x), torch.tensor(y)).numpy()
    assert theirs == pytest.approx(ours, abs=CLOSE[str(x.dtype)])


def test_pgd_of_foolbox_finds_our_examples(run, attacked):
    foolbox = pytest.importorskip("foolbox", reason="foolbox is not installed: its attacks are not tried")
    params, x, y, ours = attacked
    model = foolbox.PyTorchModel(interop.Module(run.network, params), bounds=(0, 1))
    attack = foolbox.attacks.LinfPGD(abs_stepsize=0.005, steps=20, random_start=False)
    _, theirs, fooled = attack(model, torch.tensor(x), torch.tensor(y), epsilons=0.05)
    assert theirs.numpy() == pytest.approx(ours, abs=CLOSE[str(x.dtype)])
    predicted = run.network.forward(params, ours.reshape(len(x), -1))[0].argmax(axis=1)
    assert np.array_equal(fooled.numpy(), predicted != y)


@pytest.mark.parametrize(
    ("attack", "settings"),
    [
        ("FGSM", {}),
        ("APGD", {"steps": 5, "seed": 0}),
        ("APGDT", {"steps": 3, "seed": 0}),
        ("FAB", {"steps": 3, "seed": 0}),
        ("Square", {"n_queries": 30, "seed": 0}),
        pytest.param("AutoAttack", {"seed": 0}, marks=pytest.mark.slow),
    ],
)
def test_other_attacks_of_torchattacks_run_and_fool(run, attack, settings):
    torchattacks = pytest.importorskip(
        "torchattacks", reason="torchattacks is not installed: its attacks are not tried"
    )
    module = interop.Module(run.network, run.params)
    x = torch.tensor(run.data.test.images[:10, None]) / 255
    y = torch.tensor(run.data.test.labels[:10]).long()
    x_adv = getattr(torchattacks, attack)(module, eps=0.1, **settings)(x, y)
    assert (module(x_adv).argmax(1) == y).float().mean() < (module(x).argmax(1) == y).float().mean()
    assert (x_adv - x).abs().max() <= 0.1 + 1e-6


def test_our_attacks_find_on_their_module_what_they_find_on_our_net(run, attacked):
    params, x, y, ours = attacked
    network = interop.external(sequential_of(run.network, params), (1, 28, 28))
    attack = ri.attacks.PGD(eps=0.05, clip=(0.0, 1.0))
    theirs = attack.perturb(network.gradients({}), x.reshape(len(x), -1), y).reshape(x.shape)
    assert theirs == pytest.approx(ours, abs=CLOSE[str(x.dtype)])


@pytest.mark.parametrize("attack", [ri.attacks.FGSM(), ri.attacks.GNM(), ri.attacks.PGDL2()])
def test_every_attack_works_on_their_module(network, drawn, attack):
    params, images = drawn
    x, y = images.reshape(len(images), -1), np.array([0, 1, 2, 0, 1])
    theirs = interop.external(sequential_of(network, params), images.shape[1:])
    found = [attack.perturb(one, x, y) for one in (network.gradients(params), theirs.gradients({}))]
    assert found[0] == pytest.approx(found[1], abs=1e-9)


def test_fooling_of_their_module_is_that_of_our_net(run):
    inputs = ri.LabelledImages(run.data.test.images[:100], run.data.test.labels[:100], run.backend)
    theirs = interop.external(sequential_of(run.network, run.params), (1, 28, 28))
    attacks = [ri.attacks.PGD(), ri.attacks.FGSM()]
    for ours, found in zip(
        ri.fooling(run.network, run.params, inputs, attacks), ri.fooling(theirs, {}, inputs, attacks), strict=True
    ):
        assert np.array_equal(ours.fooled, found.fooled)


def test_a_module_in_training_mode_or_of_another_precision_is_refused():
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 3))
    with pytest.raises(ri.UsageError, match="training mode"):
        interop.external(module, (1, 2, 2))
    with pytest.raises(ri.UsageError, match=r"parameters are torch\.float32, the inputs torch\.float64"):
        interop.external(module.eval(), (1, 2, 2)).forward({}, np.zeros((1, 4)))
