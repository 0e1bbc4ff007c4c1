"""The same net, step and attack in PyTorch eager, as its users write them."""

from itertools import pairwise

import numpy as np
import torch

from ..backend import Params
from ..data import Dataset
from ..ops import scale


def tensors(data: Dataset) -> tuple[torch.Tensor, ...]:
    """Training and test pixels as float32, labels as int64."""
    parts = [(scale(part.images, np.float32), part.labels.astype(np.int64)) for part in (data.train, data.test)]
    return tuple(torch.from_numpy(array) for part in parts for array in part)


def network(params: Params) -> torch.nn.Sequential:
    """The fully connected net with the weights given."""
    weights = [p for name, p in params.items() if name.startswith("W")]
    widths = [weights[0].shape[1], *(len(W) for W in weights)]
    linear = [torch.nn.Linear(n, m) for n, m in pairwise(widths)]
    with torch.no_grad():
        for layer, W, b in zip(linear, weights, list(params.values())[1::2], strict=True):
            layer.weight.copy_(torch.from_numpy(W))
            layer.bias.copy_(torch.from_numpy(b))
    return torch.nn.Sequential(*[module for layer in linear for module in (layer, torch.nn.Tanh())][:-1])


class Training:
    """Plain SGD on the mean cross-entropy, pixels on the device as floats, gathered batch by batch."""

    def __init__(self, params: Params, data: Dataset, learning_rate: float, batch_size: int, threads: int) -> None:
        torch.set_num_threads(threads)
        self.net, self.batch_size = network(params), batch_size
        self.optimizer = torch.optim.SGD(self.net.parameters(), lr=learning_rate)
        self.loss = torch.nn.CrossEntropyLoss()
        self.x, self.y, self.x_test, self.y_test = tensors(data)

    def epoch(self, order: np.ndarray) -> None:
        for index in torch.from_numpy(order).split(self.batch_size):
            self.optimizer.zero_grad(set_to_none=True)
            self.loss(self.net(self.x[index]), self.y[index]).backward()
            self.optimizer.step()

    def accuracy(self) -> float:
        with torch.no_grad():
            return float((self.net(self.x_test).argmax(dim=1) == self.y_test).double().mean())


def nuclear_gradient(W: np.ndarray) -> np.ndarray:
    """The gradient of the nuclear norm, through autograd's derivative of the singular values."""
    leaf = torch.from_numpy(W).requires_grad_(True)
    torch.linalg.matrix_norm(leaf, "nuc").backward()
    assert leaf.grad is not None
    return leaf.grad.numpy()


class Attacking:
    """PGD in the l_inf ball, without a random start, on frozen weights."""

    def __init__(self, params: Params, data: Dataset, threads: int) -> None:
        torch.set_num_threads(threads)
        self.net = network(params).requires_grad_(False)
        _, _, self.x, self.y = tensors(data)

    def pgd(self, x: torch.Tensor, y: torch.Tensor, eps: float, step_size: float, steps: int) -> torch.Tensor:
        lower, upper = x - eps, x + eps
        x_adv = x
        for _ in range(steps):
            x_adv = x_adv.detach().requires_grad_(True)
            loss = torch.nn.functional.cross_entropy(self.net(x_adv), y, reduction="sum")
            (gradient,) = torch.autograd.grad(loss, x_adv)
            x_adv = torch.clamp(x_adv.detach() + step_size * gradient.sign(), lower, upper)
        return x_adv

    def attack(self, chunk: int, eps: float, step_size: float, steps: int) -> np.ndarray:
        parts = zip(self.x.split(chunk), self.y.split(chunk), strict=True)
        return torch.cat([self.pgd(x, y, eps, step_size, steps) for x, y in parts]).numpy()
