"""Fast twins for NumPy: the same mathematics, every array allocated once, held equal to the definitions by tests.

`accelerate` gives the twin of a network, an objective, a step or a data set, and the thing itself where there is none.
Everything works without this package, only slower. Read `dense` with `activations` and `cross_entropy`, then
`convolutions`, `conv_block` and `cnn`; `gradients` and `training` put them to use, `stacked` for models in a stack;
`newton_schulz` has the nuclear norm's gradient from step to step. `products` and `aligned` suit BLAS and the cache;
parameters as one vector, `flat`, serve a GPU as well.
"""

from .accelerate import accelerate

__all__ = ["accelerate"]
