"""Products in blocks are those in one piece, for every number of examples, and leave no entry out."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from refimpl.fast import products

SMALL, LARGE = (20, 784), (100, 784)


@pytest.mark.parametrize("shape", [SMALL, LARGE])
@pytest.mark.parametrize("batch", [1, 31, 32, 33, 64, 100])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 1e-4)])
def test_blocks_give_the_whole_product(rng, shape, batch, dtype, tolerance):
    W, x = rng.normal(size=shape).astype(dtype), rng.uniform(size=(batch, shape[1])).astype(dtype)
    dz = rng.normal(size=(shape[0], batch)).astype(dtype)
    outputs, inputs = np.full((shape[0], batch), np.nan, dtype), np.full((batch, shape[1]), np.nan, dtype)
    products.outputs(W, x, out=outputs)
    products.inputs(dz, W, out=inputs)
    assert_allclose(outputs, np.einsum("mn,bn->mb", W, x), rtol=tolerance, atol=tolerance)
    assert_allclose(inputs, np.einsum("mb,mn->bn", dz, W), rtol=tolerance, atol=tolerance)


def test_only_a_small_weight_is_multiplied_in_blocks():
    assert SMALL[0] * SMALL[1] * products.EXAMPLES <= products.MULTIPLICATIONS < LARGE[0] * LARGE[1] * products.EXAMPLES
