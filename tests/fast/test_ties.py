"""Ties in max-pooling on the fast path: as on the readable one, whatever the chunk, the place, and BLAS's kernel."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ties import CLOSE, NETS, apart, check_greys, check_place, clothes

from refimpl.backend import numpy_kernel
from refimpl.fast import accelerate

both = pytest.mark.parametrize("net", NETS, ids=["valid", "same"])


def fast(net):
    network, params = net
    return lambda x, y: accelerate(network).gradients(params).loss(y)(x)


@both
def test_equal_images_have_equal_gradients(net):
    check_greys(fast(net), 0.3, 0.7, 1.0)


@both
def test_gradients_do_not_depend_on_the_chunk(real_data, net):
    check_place(fast(net), *clothes(real_data, 50), (1, 7, 16, 33))


@both
def test_both_paths_choose_alike(unchecked, real_data, net):
    """Without a tolerance they differ on more than half of the images."""
    network, params = net
    x, y = clothes(real_data, 50)
    assert np.sum(apart(fast(net)(x, y), network.gradients(params).loss(y)(x)) > CLOSE) <= 1


@pytest.mark.slow
@pytest.mark.skipif(numpy_kernel() in (None, "Haswell"), reason="there is no other kernel to try")
def test_so_it_is_with_kernels_that_round_by_position():
    """Haswell's do, where many that came later do not."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "not slow", "-p", "no:cacheprovider", __file__]
    root = Path(__file__).parents[2]
    environment = {**os.environ, "OPENBLAS_CORETYPE": "Haswell"}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
