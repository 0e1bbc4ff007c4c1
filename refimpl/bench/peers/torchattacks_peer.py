"""APGD by torchattacks, on our net in PyTorch; images have one axis each for channels, height and width."""

import numpy as np
import torch
import torchattacks

from ...attacks import APGD
from ...backend import Params
from ...data import Dataset
from ...networks import Network
from .torch_peer import network, prepare, tensors


class Attacking:
    """APGD with the cross-entropy in the l_inf ball, from a random point; pixels are cut to [0, 1], as always there."""

    def __init__(self, ours: Network, params: Params, data: Dataset, threads: int, device: str = "cpu") -> None:
        prepare(device, threads)
        net = torch.nn.Sequential(torch.nn.Flatten(), network(ours, params))
        self.net = net.requires_grad_(False).eval().to(device)
        _, _, x, self.y = tensors(data, device)
        self.x = x.reshape(len(x), *data.shape)

    def attack(self, chunk: int, attack: APGD) -> np.ndarray:
        """The adversarial examples of all test images, in batches of `chunk`, as rows."""
        theirs = torchattacks.APGD(self.net, eps=attack.eps, steps=attack.steps, loss=attack.loss, seed=attack.seed)
        parts = zip(self.x.split(chunk), self.y.split(chunk), strict=True)
        found = torch.cat([theirs(x, y) for x, y in parts])
        return found.reshape(len(found), -1).detach().cpu().numpy()
