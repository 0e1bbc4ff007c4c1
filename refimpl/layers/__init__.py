"""The primitives: each a function that returns its value and a `Pullback`, with the derivation above it.

| primitive | equation | file |
| --- | --- | --- |
| `affine` | Eq. (1), $W^i t^{i-1} + b^i$ | dense |
| `tanh`, `relu`, `leaky_relu`, `identity` | Eq. (1); Section 5 | activations |
| `cross_entropy` | the loss of Section 5 | loss |
| `margins` | Section 2: what GNM attacks | loss |
| `im2col`, `col2im`, `conv2d`, `pad` | Section 5; Appendix B | convolution |
| `max_pool` | Section 5 | pooling |
| `as_images`, `as_rows`, `scale` | shapes and units of pixels | images |

Read `dense`, `activations` and `loss` for the fully connected net, then `convolution` and `pooling`.
"""

from .activations import identity, leaky_relu, relu, tanh
from .convolution import col2im, conv2d, im2col, pad
from .dense import affine
from .images import as_images, as_rows, scale
from .loss import cross_entropy, margins
from .pooling import max_pool

__all__ = [
    "affine",
    "as_images",
    "as_rows",
    "col2im",
    "conv2d",
    "cross_entropy",
    "identity",
    "im2col",
    "leaky_relu",
    "margins",
    "max_pool",
    "pad",
    "relu",
    "scale",
    "tanh",
]
