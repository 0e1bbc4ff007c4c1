"""The same net, step and attack in PyTorch eager, as its users write them."""

from itertools import pairwise

import numpy as np
import torch

from ...attacks import PGD
from ...backend import Params
from ...data import Dataset
from ...layers.activations import LEAK
from ...layers.images import scale
from ...networks import CNN, Network
from ...parameters import depth, weights
from ..train import Task

ACTIVATIONS = {
    "relu": torch.nn.ReLU(),
    "tanh": torch.nn.Tanh(),
    "identity": torch.nn.Identity(),
    "leaky-relu": torch.nn.LeakyReLU(LEAK),
}


def finds_gpu() -> bool:
    return torch.cuda.is_available()


def prepare(device: str, threads: int) -> None:
    """So many threads of the CPU; on a GPU products of as many bits as CuPy's."""
    torch.set_num_threads(threads)
    if device != "cpu":
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False


def tensors(data: Dataset, device: str = "cpu") -> tuple[torch.Tensor, ...]:
    """Training and test pixels as float32, labels as int64."""
    parts = [(scale(part.images, np.float32), part.labels.astype(np.int64)) for part in (data.train, data.test)]
    return tuple(torch.from_numpy(array).to(device) for part in parts for array in part)


def network(ours: Network, params: Params) -> torch.nn.Sequential:
    """Our net with the weights given, on rows of pixels."""
    modules = _convolutional(ours, params) if isinstance(ours, CNN) else _fully_connected(params)
    layers = [module for module in modules if isinstance(module, torch.nn.Conv2d | torch.nn.Linear)]
    with torch.no_grad():
        for i, layer in enumerate(layers, start=1):
            layer.weight.copy_(torch.from_numpy(params[f"W{i}"]))
            assert layer.bias is not None
            layer.bias.copy_(torch.from_numpy(params[f"b{i}"]))
    return torch.nn.Sequential(*modules)


def _convolutional(ours: CNN, params: Params) -> list[torch.nn.Module]:
    """Pooling first, then the activation: the better order here too."""
    padding = ours.kernel // 2 if ours.padding == "same" else 0
    modules: list[torch.nn.Module] = [torch.nn.Unflatten(1, (ours.channels, ours.side, ours.side))]
    for name in ("W1", "W2"):
        filters, channels, k, _ = params[name].shape
        convolution = torch.nn.Conv2d(channels, filters, k, padding=padding)
        modules += [convolution, torch.nn.MaxPool2d(2), ACTIVATIONS[ours.activation]]
    (units, features), (classes, _) = params["W3"].shape, params["W4"].shape
    dense = torch.nn.Linear(features, units), ACTIVATIONS[ours.dense_activation], torch.nn.Linear(units, classes)
    return [*modules, torch.nn.Flatten(), *dense]


def _fully_connected(params: Params) -> list[torch.nn.Module]:
    """Linear layers with tanh between them, the activation of `FCNN`."""
    W1, *others = weights(params).values()
    widths = [W1.shape[1], len(W1), *map(len, others)]
    linear = [torch.nn.Linear(n, m) for n, m in pairwise(widths)]
    return [module for layer in linear for module in (layer, ACTIVATIONS["tanh"])][:-1]


class Training:
    """Plain SGD on the mean cross-entropy, pixels on the device as floats, gathered batch by batch."""

    def __init__(self, task: Task) -> None:
        prepare(task.device, task.threads)
        self.device, self.batch_size = task.device, task.batch_size
        self.net = network(task.network, task.params).to(task.device)
        self.optimizer = torch.optim.SGD(self.net.parameters(), lr=task.learning_rate)
        self.loss = torch.nn.CrossEntropyLoss()
        self.x, self.y, self.x_test, self.y_test = tensors(task.data, task.device)

    def epoch(self, order: np.ndarray) -> None:
        for index in torch.from_numpy(order).to(self.device).split(self.batch_size):
            self.optimizer.zero_grad(set_to_none=True)
            self.loss(self.net(self.x[index]), self.y[index]).backward()
            self.optimizer.step()
        if self.device != "cpu":
            torch.cuda.synchronize()

    def accuracy(self) -> float:
        with torch.no_grad():
            right = [
                (self.net(x).argmax(dim=1) == y).sum()
                for x, y in zip(self.x_test.split(1000), self.y_test.split(1000), strict=True)
            ]
            return float(sum(right)) / len(self.y_test)


class Stack:
    """`Training` of models whose parameters have a first axis, by `torch.func`; the models share their batches."""

    def __init__(self, task: Task) -> None:
        torch.set_num_threads(task.threads)
        self.batch_size, self.learning_rate = task.batch_size, task.learning_rate
        self.x, self.y, self.x_test, self.y_test = tensors(task.data)
        self.net = network(task.network, {name: p[0] for name, p in task.params.items()})
        own = [name for layer in range(1, depth(task.params) + 1) for name in (f"W{layer}", f"b{layer}")]
        theirs = dict(self.net.named_parameters())
        self.params = {name: torch.from_numpy(task.params[key]) for name, key in zip(theirs, own, strict=True)}
        self.gradient = torch.func.vmap(torch.func.grad(self._loss), in_dims=(0, None, None))

    def _loss(self, params: dict[str, torch.Tensor], x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(torch.func.functional_call(self.net, params, (x,)), y)

    def epoch(self, order: np.ndarray) -> None:
        for index in torch.from_numpy(order).split(self.batch_size):
            grads = self.gradient(self.params, self.x[index], self.y[index])
            self.params = {name: p - self.learning_rate * grads[name] for name, p in self.params.items()}

    def accuracy(self) -> float:
        """The mean over the models."""
        with torch.no_grad():
            forward = torch.func.vmap(lambda params, x: torch.func.functional_call(self.net, params, (x,)), (0, None))
            return float((forward(self.params, self.x_test).argmax(dim=-1) == self.y_test).float().mean())


def competitor(name: str, task: Task) -> Training | Stack:
    return Stack(task) if "vmap" in name else Training(task)


def nuclear_gradient(W: np.ndarray) -> np.ndarray:
    """The gradient of the nuclear norm, through autograd's derivative of the singular values."""
    leaf = torch.from_numpy(W).requires_grad_(True)
    torch.linalg.matrix_norm(leaf, "nuc").backward()
    assert leaf.grad is not None
    return leaf.grad.numpy()


class Attacking:
    """PGD in the l_inf ball, without a random start, on frozen weights."""

    def __init__(self, ours: Network, params: Params, data: Dataset, threads: int, device: str = "cpu") -> None:
        prepare(device, threads)
        self.net = network(ours, params).requires_grad_(False).to(device)
        _, _, self.x, self.y = tensors(data, device)

    def attack(self, chunk: int, attack: PGD) -> np.ndarray:
        """The adversarial examples of all test images, in batches of `chunk`."""
        parts = zip(self.x.split(chunk), self.y.split(chunk), strict=True)
        return torch.cat([self.pgd(x, y, attack) for x, y in parts]).cpu().numpy()

    def pgd(self, x: torch.Tensor, y: torch.Tensor, attack: PGD) -> torch.Tensor:
        lower, upper, step_size = x - attack.eps, x + attack.eps, attack.step_size or 0.0
        x_adv = x
        for _ in range(attack.steps):
            x_adv = x_adv.detach().requires_grad_(True)
            loss = torch.nn.functional.cross_entropy(self.net(x_adv), y, reduction="sum")
            (gradient,) = torch.autograd.grad(loss, x_adv)
            x_adv = torch.clamp(x_adv.detach() + step_size * gradient.sign(), lower, upper)
        return x_adv
