"""explore.html against the library, in headless Chromium: the same logits, the same perturbations, the same fooled."""

import base64
import json
from pathlib import Path

import numpy as np
import pytest

import refimpl as ri
from refimpl.data.strokes import render

pytest.importorskip("markdown_it", reason="the docs extra is not installed: pages are not tested")
pytest.importorskip("latex2mathml", reason="the docs extra is not installed: pages are not tested")

from refimpl_docs import explore

pytestmark = pytest.mark.slow

DIGITS = 20
BUDGETS = ((0.0, False), (0.02, False), (0.05, True), (0.1, False))


@pytest.fixture(scope="module")
def data():
    return ri.load("strokes-small")


@pytest.fixture(scope="module")
def nets(data):
    """Trained for a few steps each, enough that some digits are fooled, and some are not."""
    found = explore.exhibits(data, epochs=4)
    wide = ri.FCNN((784, 31, 10)).init(ri.backend("numpy"), seed=3)  # other widths than the three have
    return [*found, explore.Exhibit("other", "Untrained.", wide)]


@pytest.fixture(scope="module")
def page(chromium, data, nets, tmp_path_factory):
    path = tmp_path_factory.mktemp("explore") / explore.ADDRESS
    path.write_bytes(explore.page(nets, data.test, DIGITS))
    chromium.open(path)
    return path


@pytest.fixture(scope="module")
def digits(data):
    chosen = explore.balanced(data.test.labels, DIGITS)
    x = data.test.images[chosen].reshape(DIGITS, 784) / 255.0
    return x, data.test.labels[chosen].astype(np.int64)


def in_double(net):
    return {name: p.astype(np.float64) for name, p in net.params.items()}


def adversarial(attack, params, x, y, eps, clip):
    network, box = ri.fcnn, (0.0, 1.0) if clip else None
    loss = ri.loss_gradient(network, params, y)
    if attack == "FGSM":
        return ri.attacks.fgsm(loss, x, eps=eps, clip=box)
    if attack == "PGD":
        return ri.attacks.pgd(loss, x, eps=eps, step_size=eps / 10, steps=20, clip=box)
    return ri.attacks.gnm(ri.margin_gradients(network, params, y), x, eps=eps, steps=5, clip=box)


def test_the_logits_are_those_of_the_library(chromium, page, nets, digits):
    x, _ = digits
    theirs = np.array(chromium.evaluate("NETS.map(net => DIGITS.map(d => [...logits(net, d.x)]))"))
    for net, z in zip(nets, theirs, strict=True):
        assert np.abs(z - ri.fcnn.forward(net.params, x.astype(np.float32))[0]).max() < 1e-5 * max(1, np.abs(z).max())
        np.testing.assert_allclose(z, ri.fcnn.forward(in_double(net), x)[0], rtol=0, atol=1e-10)


def test_the_gradients_are_those_of_the_library(chromium, page, nets, digits):
    x, y = digits[0][:5], digits[1][:5]
    losses = chromium.evaluate("NETS.map(net => DIGITS.slice(0, 5).map(d => [...lossGradient(net, d.x, d.label)]))")
    margins = chromium.evaluate(
        "NETS.map(net => DIGITS.slice(0, 5).map(d => margins(net, d.x, d.label).map(m => [m.margin, ...m.gradient])))"
    )
    for net, by_loss, by_margin in zip(nets, losses, margins, strict=True):
        params = in_double(net)
        np.testing.assert_allclose(by_loss, ri.loss_gradient(ri.fcnn, params, y)(x), rtol=0, atol=1e-12)
        M, dM = ri.margin_gradients(ri.fcnn, params, y)(x)
        np.testing.assert_allclose(np.array(by_margin)[:, :, 0], M, rtol=0, atol=1e-10)
        np.testing.assert_allclose(np.array(by_margin)[:, :, 1:], dM, rtol=0, atol=1e-12)


@pytest.mark.parametrize("attack", ["FGSM", "PGD", "GNM"])
def test_the_same_digits_are_fooled_by_the_same_perturbations(chromium, page, nets, digits, attack):
    x, y = digits
    some, none = False, False
    for eps, clip in BUDGETS:
        flag = json.dumps(clip)
        moved = chromium.evaluate(
            f"NETS.map(net => DIGITS.map(d => [...ATTACKS.{attack}(net, d.x, d.label, {eps}, {flag})]))"
        )
        counted = chromium.evaluate(f"NETS.map(net => attackAll(net, '{attack}', {eps}, {flag}))")
        for net, found, count in zip(nets, moved, counted, strict=True):
            params = in_double(net)
            x_adv = adversarial(attack, params, x, y, eps, clip)
            np.testing.assert_allclose(found, x_adv, rtol=0, atol=1e-9)
            clean, under_attack = (ri.fcnn.forward(params, z)[0].argmax(axis=1) for z in (x, x_adv))
            correct = np.flatnonzero(clean == y)
            fooled = correct[under_attack[correct] != y[correct]]
            assert count == {"correct": correct.tolist(), "fooled": fooled.tolist()}
            some, none = some or 0 < len(fooled) < len(correct), none or (len(correct) > 0 and not len(fooled))
    assert some, "no budget fools some digits and not others"
    assert none, "every budget fools a digit"


def test_drawn_ink_is_that_of_the_built_in_digits(chromium, page):
    segments = [[5.0, 4.0, 20.0, 9.5], [20.0, 9.5, 11.0, 24.0], [3.0, 20.0, 3.0, 20.0]]
    ends = np.array(segments, np.float32)[None]
    ours = render((ends[:, :, :2], ends[:, :, 2:]), np.float32([1.2]))[0] / 255.0
    theirs = np.array(chromium.evaluate(f"[...ink({json.dumps(segments)})]")).reshape(28, 28)
    assert np.abs(ours - theirs).max() <= 0.5 / 255 + 1e-5
    assert theirs.max() == 1


def test_the_page_answers_what_is_done_to_it(chromium, page, nets, digits):
    x, y = digits
    chromium.open(page)
    first = chromium.evaluate("element('label').value")
    assert int(first) == y[0]
    chromium.evaluate("element('next').click()")
    assert int(chromium.evaluate("element('label').value")) == y[1]
    chromium.evaluate("element('eps').value = 0; element('eps').dispatchEvent(new Event('input'))")
    texts = chromium.evaluate("NETS.map((_, i) => element(`verdict-${i}`).textContent)")
    for net, text in zip(nets, texts, strict=True):
        right = ri.fcnn.forward(in_double(net), x[1:2])[0].argmax() == y[1]
        assert text.startswith("not fooled" if right else "answers")
    assert chromium.evaluate("document.querySelectorAll('#logits-0 tr').length") == 10
    chromium.evaluate("element('attack-all').click()")
    assert "natural: 0 of " in chromium.evaluate("element('all').textContent")
    chromium.evaluate("element('clear').click()")
    assert chromium.evaluate("Math.max(...state.x)") == 0
    left, top = chromium.evaluate("(b => [b.left, b.top])(element('drawing').getBoundingClientRect())")
    for kind, dx, dy in (("mousePressed", 140, 40), ("mouseMoved", 140, 240), ("mouseReleased", 140, 240)):
        chromium.call(
            "Input.dispatchMouseEvent", type=kind, x=left + dx, y=top + dy, button="left", buttons=1, clickCount=1
        )
    column = np.array(chromium.evaluate("[...state.x]")).reshape(28, 28)
    assert (column[5:23, 13:15] > 0.9).all(), "the stroke was not drawn"
    assert column[:, :10].max() == column[:, 18:].max() == 0


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (400, "light")])
def test_the_page_fits_and_reports_no_problem(chromium, page: Path, width, scheme):
    before = len(chromium.problems)
    chromium.open(page, width=width, scheme=scheme)
    assert chromium.overflowing() == []
    assert chromium.problems[before:] == []


def test_the_page_holds_what_it_needs(data, nets):
    html = explore.page(nets, data.test, DIGITS).decode()
    assert "stylesheet" not in html
    assert "http" not in html
    record = json.loads(html.partition('id="data">')[2].partition("</script>")[0])
    W = nets[0].params["W1"]
    numbers = np.frombuffer(base64.b64decode(record["nets"][0]["weights"]), "<f4")
    np.testing.assert_array_equal(numbers[: W.size], W.reshape(-1))
    assert len(record["digits"]) == DIGITS
    assert sorted({digit["label"] for digit in record["digits"]}) == list(range(10))
