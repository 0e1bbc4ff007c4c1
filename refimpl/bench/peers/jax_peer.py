"""The same net and step in JAX: one jitted step called from Python, a whole epoch as one compiled scan, and stacks."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ...backend import Params
from ...layers.images import scale
from ...parameters import depth
from ..train import Task


def forward(params: Params, x: jax.Array) -> jax.Array:
    for i in range(1, depth(params) + 1):
        x = x @ params[f"W{i}"].T + params[f"b{i}"]
        x = jnp.tanh(x) if i < depth(params) else x
    return x


def loss(params: Params, x: jax.Array, y: jax.Array) -> jax.Array:
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(forward(params, x)), y[:, None], axis=1))


class Training:
    """Plain SGD on the mean cross-entropy; `scan` compiles the epoch's full batches into one call.

    With `vmap` the parameters have the models of a stack along a first axis; the models share their batches.
    """

    def __init__(self, task: Task, *, scan: bool, vmap: bool = False) -> None:
        data = task.data
        self.params = jax.tree.map(jnp.asarray, task.params)
        self.batch_size, self.scan, self.vmap = task.batch_size, scan, vmap
        self.x, self.y = jnp.asarray(scale(data.train.images, np.float32)), jnp.asarray(data.train.labels, jnp.int32)
        self.x_test, self.y_test = jnp.asarray(scale(data.test.images, np.float32)), data.test.labels

        def step(params: Params, index: jax.Array) -> tuple[Params, Any]:
            value, grads = jax.value_and_grad(loss)(params, self.x[index], self.y[index])
            return jax.tree.map(lambda p, g: p - task.learning_rate * g, params, grads), value

        def steps(params: Params, indices: jax.Array) -> tuple[Params, Any]:
            return jax.lax.scan(step, params, indices)

        self.step, self.steps = (jax.jit(jax.vmap(f, (0, None)) if vmap else f) for f in (step, steps))

    def epoch(self, order: np.ndarray) -> None:
        n = len(order) - len(order) % self.batch_size if self.scan else 0
        if n:
            full = jnp.asarray(order[:n].reshape(-1, self.batch_size))
            self.params, _ = self.steps(self.params, full)
        for i in range(n, len(order), self.batch_size):
            self.params, _ = self.step(self.params, jnp.asarray(order[i : i + self.batch_size]))
        jax.block_until_ready(self.params)

    def accuracy(self) -> float:
        """The mean over the models of a stack."""
        logits = (jax.vmap(forward, (0, None)) if self.vmap else forward)(self.params, self.x_test)
        return float((np.asarray(logits).argmax(axis=-1) == self.y_test).mean())


def competitor(name: str, task: Task) -> Training:
    return Training(task, scan="scan" in name, vmap="vmap" in name)
