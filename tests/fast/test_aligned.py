"""Arrays that begin with a line of the cache."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from refimpl.backend import backend
from refimpl.fast.aligned import LINE, aligned, aligned_copy
from refimpl.fast.flat import Flat
from refimpl.networks import FCNN


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8"])
@pytest.mark.parametrize("shape", [(), (1,), (3, 5), (20, 784)])
def test_they_are_ordinary_arrays_that_begin_with_one(shape, dtype):
    for _ in range(5):
        x = aligned(shape, dtype)
        assert (x.shape, x.dtype, x.ctypes.data % LINE) == (shape, np.dtype(dtype), 0)
        assert x.flags.c_contiguous
        assert x.flags.writeable


def test_a_copy_has_the_numbers_and_its_own_place(rng):
    x = rng.normal(size=(7, 5)).T
    copy = aligned_copy(x)
    assert copy.ctypes.data % LINE == 0
    assert_array_equal(copy, x)
    assert not np.shares_memory(copy, x)


def test_so_do_all_rows_of_the_first_weight_of_flat_parameters():
    W = Flat(FCNN((784, 20, 10)).init(backend("numpy")))["W1"]
    assert {row.ctypes.data % LINE for row in W} == {0}
