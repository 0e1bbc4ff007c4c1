"""Products in blocks are those in one piece, for every number of examples, and leave no entry out."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from refimpl.fast import products

SMALL, LARGE = (20, 784), (100, 784)


@pytest.fixture(params=[True, False], ids=["in-blocks", "whole"])
def kernels(request, monkeypatch):
    """As if NumPy's BLAS had kernels for small matrices, and as if it had none."""
    monkeypatch.setattr(products, "in_blocks", lambda: request.param)


@pytest.mark.usefixtures("kernels")
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


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize(("models", "batch"), [(1, 1), (2, 128), (3, 256), (8, 100), (2, 2000)])
def test_so_do_blocks_of_rows_of_many_models(rng, models, batch):
    W, x = rng.normal(size=(models * 20, 784)), rng.uniform(size=(batch, 784))
    out = np.full((len(W), batch), np.nan)
    products.shared_outputs(W, x, out=out)
    assert_allclose(out, np.einsum("mn,bn->mb", W, x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("shape", "batch", "blocks"),
    [(SMALL, 31, 0), (SMALL, 100, 3), (LARGE, 100, 0), ((1, 31_250), 32, 1), ((1, 31_251), 32, 0)],
)
def test_only_a_small_weight_is_multiplied_by_32_examples_at_a_time(monkeypatch, shape, batch, blocks):
    """At most a million multiplications in a block; the rest in one piece."""
    W, x, seen = np.zeros(shape, np.float32), np.zeros((batch, shape[1]), np.float32), []
    matmul = np.matmul
    monkeypatch.setattr(products, "in_blocks", lambda: True)
    monkeypatch.setattr(np, "matmul", lambda a, b, out: seen.append(out.shape) or matmul(a, b, out=out))
    products.outputs(W, x, out=np.empty((shape[0], batch), np.float32))
    rest = batch - 32 * blocks
    assert seen == [(blocks, shape[0], 32)] * (blocks > 0) + [(shape[0], rest)] * (rest > 0)


@pytest.mark.parametrize(
    ("rows", "size", "expected"),
    [
        *[(1600, 288 * 32, 100), (10_816, 9 * 32, 2704), (100, 10, 100), (31, 10**5, 31), (1600, 2 * 10**6, 1600)],
        *[(64, 32_258, 16), (221, 66_666, 221)],
    ],
)
def test_as_many_rows_are_multiplied_at_a_time_as_divide_all_and_make_a_small_product(rows, size, expected):
    """Those of the paper's blocks for 16 images; few enough for one product; a prime; a weight that is too large.

    At most 31 rows, of which half make 16 whole blocks; at most 15, which would be blocks of 13.
    """
    found = products.rows_at_a_time(rows, size)
    assert found == expected
    assert rows % found == 0
    assert found == rows or found * size <= products.MULTIPLICATIONS


@pytest.mark.parametrize(
    ("models", "batch", "expected"), [(8, 128, 8), (16, 128, 8), (1, 128, 5), (8, 256, 4), (8, 512, 160)]
)
def test_rows_of_a_stack_are_multiplied_eight_at_a_time_by_a_batch(models, batch, expected):
    """By 512 examples only two would be few enough."""
    assert products.rows_at_a_time(20 * models, batch * 784, at_least=4) == expected


@pytest.mark.parametrize(
    ("kernel", "expected"), [("SkylakeX", True), ("Haswell", False), ("Zen", False), (None, False)]
)
def test_blocks_are_for_the_kernels_of_avx512(monkeypatch, kernel, expected):
    monkeypatch.setattr(products, "numpy_kernel", lambda: kernel)
    products.in_blocks.cache_clear()
    assert products.in_blocks() is expected
    products.in_blocks.cache_clear()
