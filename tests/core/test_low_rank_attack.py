"""PGD in the l_2 ball and on low-rank factors: on linear losses, whose optimum the singular values of g give."""

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import grad
from backends import NUMPY
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from strategies import budgets, seeds

from refimpl import CNN, FCNN, LabelledImages, UsageError, fooling
from refimpl.attacks import ATTACKS, PGDL2, LoraPGD, input_attacks, lora_pgd, pgd_l2, verify
from refimpl.attacks.lora_pgd import factor_gradients
from refimpl.attacks.low_rank import LowRankPerturbation, best_approximation, random_factors, truncated_factors
from refimpl.layers.images import scale
from refimpl.regularizers import Batch
from refimpl.training import AdversarialInputs, CrossEntropy

CHANNELS, HEIGHT, WIDTH = SHAPE = (2, 4, 5)
PIXELS = CHANNELS * HEIGHT * WIDTH
ranks = st.integers(1, min(HEIGHT, WIDTH))
NETWORK = FCNN((784, 8, 10))


def images(rng, batch=3):
    return rng.uniform(0.2, 0.8, (batch, PIXELS))


def sines(x):
    """The gradient of -sum(cos x): neither linear nor bounded away from zero."""
    return np.sin(x)


def constant(g):
    return lambda x: np.broadcast_to(g, x.shape)


def within_rank(g, rank):
    """The largest <g, d> over directions d of at most that rank in every channel (Eckart and Young 1936)."""
    s = np.linalg.svd(g.reshape(-1, *SHAPE), compute_uv=False)
    return np.sqrt((s[..., :rank] ** 2).sum(axis=(-1, -2)))


@given(seeds, budgets, st.integers(1, 5), st.sampled_from([None, (0.0, 1.0)]))
def test_pgd_l2_stays_in_its_ball_and_box(seed, eps, steps, clip):
    x = images(np.random.default_rng(seed))
    verify(x, pgd_l2(sines, x, eps=eps, step_size=0.7 * eps, steps=steps, clip=clip), eps=eps, norm="2", clip=clip)


@given(seeds, budgets)
def test_pgd_l2_on_a_linear_loss_ends_at_the_optimum(seed, eps):
    rng = np.random.default_rng(seed)
    x, g = images(rng), rng.normal(size=(3, PIXELS))
    best = x + eps * g / np.linalg.norm(g, axis=-1, keepdims=True)
    assert_allclose(pgd_l2(constant(g), x, eps=eps, step_size=0.6 * eps, steps=3), best, rtol=1e-9)
    assert_array_equal(pgd_l2(constant(0 * g), x, eps=eps, step_size=eps, steps=3), x)


@given(seeds, ranks, budgets, st.sampled_from([None, (0.1, 0.9)]))
def test_the_gradients_by_the_factors_are_those_of_the_loss(seed, rank, eps, clip):
    """Through normalization and cut, against autograd; the common length aside, eps / |UV|."""
    rng = np.random.default_rng(seed)
    x = images(rng)
    U, V = rng.normal(size=(3, CHANNELS, HEIGHT, rank)), rng.normal(size=(3, CHANNELS, rank, WIDTH))

    def loss(U, V):
        delta = anp.reshape(anp.matmul(U, V), (3, PIXELS))
        moved = x + eps * delta / anp.sqrt(anp.sum(delta**2, axis=-1, keepdims=True))
        return -anp.sum(anp.cos(moved if clip is None else anp.clip(moved, *clip)))

    common = eps / np.linalg.norm((U @ V).reshape(3, -1), axis=-1)[:, None, None, None]
    dU, dV = factor_gradients(sines, x, LowRankPerturbation(U, V), eps, clip)
    assert_allclose(common * dU, grad(loss, 0)(U, V), rtol=1e-9, atol=1e-9)
    assert_allclose(common * dV, grad(loss, 1)(U, V), rtol=1e-9, atol=1e-9)


@given(seeds, ranks, budgets, st.integers(1, 4))
def test_the_perturbation_has_its_rank_and_lies_on_the_sphere(seed, rank, eps, steps):
    rng = np.random.default_rng(seed)
    x = images(rng)
    eta = lora_pgd(sines, x, random_factors(rng, x, SHAPE, rank), eps=eps, steps=steps) - x
    assert_allclose(np.linalg.norm(eta, axis=-1), eps, rtol=1e-9)
    s = np.linalg.svd(eta.reshape(-1, *SHAPE), compute_uv=False)
    assert (s[..., rank:] < 1e-9 * eps).all()


@given(seeds, ranks, budgets)
def test_clipped_pixels_stay_in_the_box(seed, rank, eps):
    rng = np.random.default_rng(seed)
    x = images(rng)
    x_adv = lora_pgd(sines, x, random_factors(rng, x, SHAPE, rank), eps=eps, steps=3, clip=(0.0, 1.0))
    verify(x, x_adv, eps=eps, norm="2", clip=(0.0, 1.0))


@given(seeds, ranks, st.integers(1, 30))
def test_no_perturbation_of_a_rank_gains_more_than_eckart_and_young_allow(seed, rank, steps):
    rng = np.random.default_rng(seed)
    x, g = images(rng), rng.normal(size=(3, PIXELS))
    eta = lora_pgd(constant(g), x, random_factors(rng, x, SHAPE, rank), eps=1.0, steps=steps) - x
    assert ((g * eta).sum(axis=-1) <= within_rank(g, rank) * (1 + 1e-9)).all()


@pytest.mark.parametrize("rank", range(1, min(HEIGHT, WIDTH) + 1))
def test_random_starts_come_near_what_eckart_and_young_allow_and_all_do_from_the_best_of_four(rng, rank):
    """Where a factor starts orthogonal to a leading singular vector there is a saddle point.

    Of 5,000 ascents of rank 1 13 were still below 90 % after 300 steps, 4 after 1,000; none of a higher rank.
    """
    x, g = images(rng, 500), rng.normal(size=(500, PIXELS))
    starts = [random_factors(rng, x, SHAPE, rank) for _ in range(4)]
    eta = [lora_pgd(constant(g), x, start, eps=1.0, steps=100) - x for start in starts]
    gain = (g * np.array(eta)).sum(axis=-1) / within_rank(g, rank)
    assert (gain <= 1 + 1e-9).all()
    near = gain >= 0.9
    assert near.mean() >= (0.98 if rank == 1 else 1.0)
    assert near.any(axis=0).all()


@given(seeds, ranks, st.integers(1, 5), st.sampled_from(["float32", "float64"]))
def test_a_warm_start_on_a_linear_loss_is_the_optimum_of_its_rank_and_is_not_left(seed, rank, steps, dtype):
    """Nor is it for rounding: the gradient by the factors vanishes there but for that, and steps have length 1."""
    rng = np.random.default_rng(seed)
    x, g = images(rng).astype(dtype), rng.normal(size=(3, PIXELS)).astype(dtype)
    start = truncated_factors(g, SHAPE, rank)
    eta = lora_pgd(constant(g), x, start, eps=1.0, steps=steps).astype(float) - x
    rounding = 100 * np.finfo(dtype).eps
    assert_allclose((g * eta).sum(axis=-1), within_rank(g.astype(float), rank), rtol=rounding)
    assert_allclose(np.linalg.norm(eta, axis=-1), 1.0, rtol=1e-6)


@given(seeds, ranks, st.sampled_from([None, (0.1, 0.9)]))
def test_the_gradient_by_a_factor_is_orthogonal_to_it(seed, rank, clip):
    """The perturbation does not change with the length of either, cut or not."""
    rng = np.random.default_rng(seed)
    x = images(rng)
    at = LowRankPerturbation(rng.normal(size=(3, CHANNELS, HEIGHT, rank)), rng.normal(size=(3, CHANNELS, rank, WIDTH)))
    for factor, d in zip(at, factor_gradients(sines, x, at, 1.0, clip), strict=True):
        assert_allclose((factor * d).sum(axis=(1, 2, 3)), 0, atol=1e-9)


@given(seeds, st.sampled_from([1e-30, 1e-12, 1.0, 1e12]))
def test_the_scale_of_the_gradient_does_not_matter(seed, scale):
    x = images(np.random.default_rng(seed)).astype(np.float32)
    start = random_factors(np.random.default_rng(seed), x, SHAPE, 2)
    plain, scaled = (lora_pgd(lambda at, c=c: np.float32(c) * sines(at), x, start, eps=0.5) for c in (1.0, scale))
    assert_allclose(scaled, plain, atol=1e-3)
    assert_array_equal(lora_pgd(np.zeros_like, x, start, eps=0.5), x)


def test_a_gradient_of_rank_one_needs_rank_one(rng):
    x = images(rng, 500)
    g = (rng.normal(size=(500, CHANNELS, HEIGHT, 1)) @ rng.normal(size=(500, CHANNELS, 1, WIDTH))).reshape(500, PIXELS)
    eta = lora_pgd(constant(g), x, random_factors(rng, x, SHAPE, 1), eps=1.0, steps=300) - x
    assert ((g * eta).sum(axis=-1) >= 0.97 * np.linalg.norm(g, axis=-1)).all()


@given(seeds, ranks)
def test_the_truncated_start_is_the_best_approximation(seed, rank):
    eta = np.random.default_rng(seed).normal(size=(3, PIXELS))
    cut = best_approximation(eta, SHAPE, rank)
    assert_allclose(np.linalg.norm(cut, axis=-1), within_rank(eta, rank), rtol=1e-9)
    assert_allclose((eta * cut).sum(axis=-1), within_rank(eta, rank) ** 2, rtol=1e-9)
    U, V = truncated_factors(eta, SHAPE, rank)
    assert_allclose(np.linalg.norm(U, axis=-2), np.linalg.norm(V, axis=-1), rtol=1e-6, atol=1e-9)  # evenly shared


def test_an_example_does_not_depend_on_its_batch(rng):
    x = images(rng)
    U, V = random_factors(rng, x, SHAPE, 2)
    whole = lora_pgd(sines, x, LowRankPerturbation(U, V), eps=0.5)
    parts = [lora_pgd(sines, x[i : i + 1], LowRankPerturbation(U[i : i + 1], V[i : i + 1]), eps=0.5) for i in range(3)]
    assert_allclose(whole, np.concatenate(parts), rtol=1e-9)


def test_every_backend_climbs_alike(be, rng):
    x = images(rng)
    start = truncated_factors(rng.normal(size=x.shape), SHAPE, 2)
    target = x + rng.normal(size=x.shape)
    expected = lora_pgd(lambda at: target - at, x, start, eps=0.5, steps=4)
    goal = be.array(target)
    ours = lora_pgd(lambda at: goal - at, be.array(x), LowRankPerturbation(*map(be.array, start)), eps=0.5, steps=4)
    assert_allclose(be.host(ours), expected, rtol=0, atol=100 * be.tolerance)
    flat = pgd_l2(lambda at: goal - at, be.array(x), eps=0.5, step_size=0.2, steps=4, clip=(0.0, 1.0))
    assert_allclose(
        be.host(flat),
        pgd_l2(lambda at: target - at, x, eps=0.5, step_size=0.2, steps=4, clip=(0.0, 1.0)),
        rtol=0,
        atol=100 * be.tolerance,
    )
    drawn = random_factors(np.random.default_rng(0), be.array(x), SHAPE, 2)
    assert_allclose(
        be.host(drawn.U), random_factors(np.random.default_rng(0), x, SHAPE, 2).U, rtol=0, atol=be.tolerance
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "lora-pgd", "rank": 0}, "rank must be finite and above 0, got 0"),
        ({"name": "pgd-l2", "rank": 29}, "the rank must be from 1 to 28, the image's full rank, got 29"),
        ({"name": "lora-pgd", "rank": 0.001}, "the rank must be from 1 to 28, the image's full rank, got 0"),
        ({"name": "pgd", "rank": 3}, "unknown setting 'rank'"),
        ({"name": "pgd-l2", "warm_start": True}, "unknown setting 'warm_start'"),
        ({"name": "lora-pgd", "norm": "1"}, "unknown setting 'norm'"),
        ({"name": "lora-pgd", "step_size": 0.1}, "unknown setting 'step_size'"),
        ({"name": "lora-pgd", "eps": -1.0}, "eps must be finite and at least 0"),
        ({"name": "lora-pgd", "warm_start": True, "restarts": 2}, "more than one restart needs a random start"),
    ],
)
def test_what_means_nothing_is_refused(settings, message):
    kind = ATTACKS[settings.pop("name")]
    with pytest.raises(UsageError, match=message):
        kind.from_table(settings, "attack").for_images((1, 28, 28))


def test_images_of_another_size_are_refused(rng):
    x = images(rng)
    with pytest.raises(UsageError, match=r"images of shape \(1, 4, 5\) do not have 40 pixels"):
        random_factors(rng, x, (1, 4, 5), 1)
    with pytest.raises(UsageError, match="the rank must be from 1 to 4"):
        random_factors(rng, x, SHAPE, 5)


@pytest.mark.parametrize("settings", [{}, {"warm_start": True}, {"rank": 28, "clip": (0.0, 1.0)}])
def test_the_net_is_attacked_within_its_budget_and_rank(be, rng, settings):
    params = NETWORK.init(be.backend, 0, be.dtype)
    x, y = be.array(rng.uniform(0.3, 0.7, (4, 784))), be.array(rng.integers(0, 10, 4), "int64")
    attack = LoraPGD(eps=0.5, **settings)
    x_adv = be.host(attack.perturb(NETWORK.gradients(params), x, y, attack.starts()))
    verify(be.host(x), x_adv, eps=0.5, norm="2", clip=attack.clip)
    s = np.linalg.svd((x_adv - be.host(x)).reshape(4, 28, 28).astype(float), compute_uv=False)
    if attack.rank < 28:
        assert (s[:, attack.rank] < 1e-4 * s[:, 0]).all()
    surrogate = NETWORK.gradients(NETWORK.init(be.backend, 1, be.dtype))
    led = be.host(attack.perturb(NETWORK.gradients(params), x, y, attack.starts(), surrogate))
    assert (np.abs(led - x_adv).max() > 1e-4) == attack.warm_start  # a surrogate leads a warm start only


class Watched:
    """A target that remembers where its gradient was asked for."""

    def __init__(self, gradient):
        self.gradient, self.seen = gradient, []

    def logits(self, x):
        raise AssertionError("logits were asked for")

    def value_and_grad(self, loss, *labels):
        raise AssertionError("another loss was asked for")

    def loss(self, y):
        return lambda at: self.seen.append(at) or self.gradient(at)

    def margins(self, k):
        raise AssertionError("margins were asked for")

    def least_margin(self, k):
        return lambda at: at[:, 0]

    def image_shape(self, n):
        return SHAPE


def test_it_alone_follows_a_surrogate():
    assert {name for name in input_attacks() if ATTACKS[name].follows_surrogate} == {"lora-pgd"}


def test_a_warm_start_is_one_step_along_the_surrogate_truncated(rng):
    x, g = images(rng), rng.normal(size=(3, PIXELS))
    target, surrogate = Watched(sines), Watched(lambda at: g - at)
    attack = LoraPGD(eps=0.5, rank=1, steps=1, warm_start=True)
    attack.perturb(target, x, np.zeros(3, int), attack.starts(), surrogate)
    (asked,) = surrogate.seen
    assert_array_equal(asked, x)
    U, s, Vh = np.linalg.svd((g - x).reshape(3, *SHAPE), full_matrices=False)
    start = (s[..., :1, None] * U[..., :1] @ Vh[..., :1, :]).reshape(3, PIXELS)
    assert_allclose(target.seen[0], x + 0.5 * start / np.linalg.norm(start, axis=1, keepdims=True), rtol=1e-9)


@pytest.mark.parametrize("kind", [LoraPGD, PGDL2])
def test_chunks_do_not_matter_not_even_to_random_factors(rng, kind):
    params = NETWORK.init(NUMPY, 4, "float64")
    pictures = rng.integers(0, 256, (40, 28, 28), np.uint8)
    labels = NETWORK.gradients(params).logits(scale(pictures, np.float64)).argmax(axis=-1).astype(np.uint8)
    small, large = (
        fooling(NETWORK, params, LabelledImages(pictures, labels, NUMPY, "float64", chunk), [kind(eps=2.0, rank=2)])[0]
        for chunk in (7, 100)
    )
    assert_array_equal(small.adversarial_label, large.adversarial_label)
    assert_allclose(small.x_adv, large.x_adv, atol=1e-6)


def test_a_truncated_pgd_l2_keeps_its_rank(rng):
    target = NETWORK.gradients(NETWORK.init(NUMPY, 0, "float64"))
    x, y = rng.uniform(0.3, 0.7, (4, 784)), rng.integers(0, 10, 4)
    attack = PGDL2(eps=0.5, rank=2)
    eta = attack.perturb(target, x, y, attack.starts()) - x
    s = np.linalg.svd(eta.reshape(4, 28, 28), compute_uv=False)
    assert (s[:, 2:] < 1e-9 * s[:, :1]).all()
    whole = PGDL2(eps=0.5).perturb(target, x, y, [])
    assert_allclose(eta, best_approximation(whole - x, (1, 28, 28), 2), atol=1e-12)


def test_low_rank_adversarial_training_draws_anew_at_each_step(rng):
    params = NETWORK.init(NUMPY)
    x, y = rng.uniform(0.3, 0.7, (4, 784)).astype("float32"), rng.integers(0, 10, 4)
    objective = AdversarialInputs(CrossEntropy(NETWORK), NETWORK, LoraPGD(eps=0.5), fraction=0.5)
    first, again, second = (objective.perturb(params, Batch(x, y, t)) for t in (1, 1, 2))
    assert_array_equal(first, again)
    assert not np.array_equal(first, second)
    assert_array_equal(first[2:], x[2:])


def test_images_of_several_channels_are_attacked_in_the_shape_that_their_network_says(rng):
    network = CNN(filters=(2, 2), hidden_units=3, channels=3, side=14, classes=4)
    params, shape = network.init(NUMPY, 0, "float64"), (3, 14, 14)
    x, y = rng.uniform(0.3, 0.7, (2, 3 * 14 * 14)), rng.integers(0, 4, 2)
    for attack in (LoraPGD(eps=0.5, rank=2), PGDL2(eps=0.5, rank=2)):
        x_adv = attack.perturb(network.gradients(params), x, y, attack.starts())
        verify(x, x_adv, eps=0.5, norm="2")
        s = np.linalg.svd((x_adv - x).reshape(2, *shape), compute_uv=False)
        assert (s[..., 2:] < 1e-9 * s[..., :1]).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_truncated_to_nan_and_not_decomposed(value):
    eta = np.ones((2, PIXELS))
    eta[1, 3] = value
    assert np.isnan(best_approximation(eta, SHAPE, 2)).all()
