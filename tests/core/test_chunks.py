"""How many examples are worked on at a time: few on a CPU, whose cache holds no more, many on a GPU."""

from dataclasses import dataclass, field

import fakecupy
import numpy as np
import pytest
from backends import FAKE, NUMPY

from refimpl import CNN, FCNN, LabelledImages, fooling, mutual_information
from refimpl.attacks import FGSM, GNM, PGD, InputWeight
from refimpl.attacks.verify import verify_weights
from refimpl.backend import ON_CPU, ON_GPU
from refimpl.interop.external import ExternalNetwork
from refimpl.low_rank import factorised
from refimpl.measures.per_layer import layer_information
from refimpl.training import score

NETWORK = FCNN((4, 3, 10))


@dataclass(frozen=True)
class Watched(FCNN):
    """How many examples each pass is given."""

    widths: tuple[int, ...] = (4, 3, 10)
    seen: list[int] = field(default_factory=list)

    def forward(self, params, x):
        self.seen.append(x.shape[-2])
        return super().forward(params, x)

    def hidden(self, params, x):
        self.seen.append(x.shape[-2])
        return super().hidden(params, x)


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (2500, 2, 2), np.uint8)


@pytest.fixture
def labels(images):
    params = NETWORK.init(NUMPY)
    return NETWORK.forward(params, images.reshape(len(images), -1).astype(np.float32) / 255)[0].argmax(axis=-1)


@pytest.mark.parametrize(
    ("backend", "attacked", "scored", "measured"), [(NUMPY, 256, 1000, 250), (FAKE, 2500, 2500, 2500)]
)
def test_a_gpu_is_given_many_examples_at_a_time(images, labels, backend, attacked, scored, measured):
    network = Watched()
    params = network.init(backend)
    (result,) = fooling(network, params, LabelledImages(images, labels, backend), [PGD(steps=1)])
    assert result.n == result.n_correct == 2500
    assert max(network.seen) == attacked
    network.seen.clear()
    score(network, params, backend.asarray(images), backend.asarray(labels))
    assert max(network.seen) == scored
    network.seen.clear()
    layer_information(network, params, backend.asarray(images[:300]))
    assert max(network.seen) == min(measured, 300)
    network.seen.clear()
    x = backend.asarray(images.reshape(len(images), -1) / 255, "float32")
    InputWeight(steps=1).perturb_all(network.gradients, params, x, backend.asarray(labels))
    assert max(network.seen) == attacked


def test_blocks_of_pairs_are_larger_on_a_gpu(monkeypatch, rng):
    h, products = FAKE.asarray(rng.normal(size=(600, 2))), []
    product = fakecupy.FakeArray.__matmul__
    monkeypatch.setattr(fakecupy.FakeArray, "__matmul__", lambda *pair: products.append(1) or product(*pair))
    counts = []
    for block in (None, ON_GPU.paired, ON_CPU.paired):
        mutual_information(h, block=block)
        counts.append(len(products))
        products.clear()
    assert counts[0] == counts[1] < counts[2]


def test_convolutions_and_nets_that_keep_their_own_parameters_are_given_fewer():
    cnn, dense = CNN(filters=(2, 2), hidden_units=3).init(NUMPY), FCNN().init(NUMPY)
    external = ExternalNetwork(lambda x: (x, lambda dz: dz), (1, 28, 28))
    assert [ON_GPU.attacked(p) for p in (dense, factorised(dense, 0.5))] == [10_000, 10_000]
    assert [ON_GPU.attacked(p) for p in (cnn, factorised(cnn, 0.5), external.init(NUMPY))] == [1000] * 3
    assert {ON_CPU.attacked(p) for p in (cnn, dense)} == {256}


def test_random_starts_are_uploaded_once_and_are_the_same_in_any_chunk(images, labels):
    attack, params = PGD(eps=0.1, steps=1, random_start=True, restarts=2), NETWORK.init(NUMPY)
    (here,) = fooling(NETWORK, params, LabelledImages(images, labels, NUMPY), [attack])
    there = {name: FAKE.asarray(p) for name, p in params.items()}
    fakecupy.UPLOADS.clear()
    (found,) = fooling(NETWORK, there, LabelledImages(images, labels, FAKE), [attack])
    assert fakecupy.UPLOADS.count((2500, 4)) == attack.restarts
    np.testing.assert_allclose(found.x_adv, here.x_adv, atol=1e-6)


@pytest.mark.parametrize("attack", [PGD(eps=0.1, steps=2), GNM(eps=0.5, norm="2", clip=(0.0, 1.0))], ids=str)
def test_of_a_chunk_the_device_hands_over_numbers_once_and_the_images(images, labels, attack):
    """Two copies to find what is classified correctly, then two for each attack, whatever is verified of it."""
    params = {name: FAKE.asarray(p) for name, p in NETWORK.init(NUMPY).items()}
    inputs = LabelledImages(images, labels, FAKE)
    fakecupy.SYNCS.clear()
    results = fooling(NETWORK, params, inputs, [attack, FGSM()])
    assert fakecupy.SYNCS == ["get"] * 6
    assert all(result.distance.dtype == np.float64 for result in results)


def test_perturbed_weights_are_verified_by_one_copy(rng):
    params = {name: FAKE.asarray(p) for name, p in NETWORK.init(NUMPY).items()}
    moved = {name: p + 0.01 if name.startswith("W") else p for name, p in params.items()}
    fakecupy.SYNCS.clear()
    found = verify_weights(params, moved, {"W1": 0.011, "W2": 0.011})
    assert fakecupy.SYNCS == ["get"]
    np.testing.assert_allclose(list(found.values()), 0.01, rtol=1e-5)
