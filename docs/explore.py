"""explore.html: three networks to be attacked in a browser, in one page without a network.

The networks are trained on the built-in digits while the page is made, and lie inside it, with a few test digits: no
data set and no weights are kept in the repository, and digits drawn by hand look like the training digits, which are
drawn by a pen, too. `explore.js` computes; tests hold it equal to the library.
"""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from string import Template

import numpy as np

from refimpl import Adam, accuracy, effective_rank, effective_sparsity, fcnn
from refimpl.attacks import PGD
from refimpl.backend import Params, backend
from refimpl.data import Dataset, load
from refimpl.data.dataset import Split, on
from refimpl.layers.images import scale
from refimpl.low_rank import LowRank, LowRankNetwork, LowRankSGD, factorised
from refimpl.networks import FCNN, Network
from refimpl.optimizers import SGD, Updates
from refimpl.parameters import in_order, weights
from refimpl.runs.fast_twins import accelerated
from refimpl.training import AdversarialInputs, CrossEntropy, Objective, Schedule, Step, train

from .frame import WHOLE_STYLE, frame

ADDRESS = "explore.html"
DIGITS = 50
"""Test digits in the page, as many of each class as of every other."""


@dataclass(frozen=True)
class Exhibit:
    """A network in the page: its name, how it was trained, and its full weights."""

    name: str
    words: str
    params: Params


def exhibits(data: Dataset, epochs: int = 10) -> list[Exhibit]:
    """Trained naturally for so many epochs; from there against PGD for as many; at half the rank for half as many."""
    network = FCNN()
    first = network.init(backend("numpy"))
    natural = _trained(network, CrossEntropy(network), Adam(learning_rate=0.003), first, data, epochs)
    attack = PGD(eps=0.1, steps=5, step_size=0.04, clip=(0.0, 1.0))
    adversarial = AdversarialInputs(CrossEntropy(network), network, attack, fraction=0.5)
    half, how = LowRankNetwork(network, 0.5), LowRank(fraction=0.5, tau=0.1)
    steps = LowRankSGD(SGD(learning_rate=0.05, momentum=0.3), how)
    low_rank = _trained(half, CrossEntropy(half), steps, factorised(natural, 0.5), data, epochs // 2)
    return [
        Exhibit("natural", "Trained on clean digits.", natural),
        Exhibit(
            "adversarial",
            "Continued from the natural one on batches of which half are attacked by PGD at eps 0.1.",
            _trained(network, adversarial, Adam(learning_rate=0.003), natural, data, epochs),
        ),
        Exhibit(
            "low rank",
            "Continued from the natural one at half of its rank, condition numbers at most 1.1.",
            half.full(low_rank),
        ),
    ]


def _trained(
    network: Network, objective: Objective, optimizer: Updates, params: Params, data: Dataset, epochs: int
) -> Params:
    step = accelerated(Step(objective, optimizer, params, optimizer.init(params)))
    examples = accelerated(on(backend("numpy"), data))
    *_, last = train(step, accelerated(network), examples, Schedule(epochs, 128, seed=0))
    return last.params


def explore() -> dict[str, bytes]:
    """The page, with its address."""
    data = load("strokes")
    return {ADDRESS: page(exhibits(data), data.test, DIGITS)}


def page(nets: Sequence[Exhibit], test: Split, n: int) -> bytes:
    """The page with these networks and n of the test digits, in one file."""
    chosen = balanced(test.labels, n)
    digits = [{"label": int(test.labels[i]), "pixels": _base64(test.images[i])} for i in chosen]
    body = Template(_file("explore.html")).substitute(
        labels="".join(f'<option value="{c}">{c}</option>' for c in range(10)),
        digits=len(chosen),
        nets="\n".join(_section(i, net, test) for i, net in enumerate(nets)),
    )
    data = json.dumps({"nets": [_record(net) for net in nets], "digits": digits})
    script = f'<script type="application/json" id="data">{data}</script>\n<script>\n{_file("explore.js")}</script>\n'
    style = f"<style>{WHOLE_STYLE}{_file('explore.css')}</style>"
    html = frame(ADDRESS, "Attack a network yourself", body + script, wide=True)
    return html.replace('<link rel="stylesheet" href="style.css">', style).encode()


def balanced(labels: np.ndarray, n: int) -> list[int]:
    """The places of n test digits: the first of each class, then the second of each, and so on."""
    order = {c: list(np.flatnonzero(labels == c)) for c in np.unique(labels)}
    return [int(order[c][k]) for k in range(-(-n // len(order))) for c in order if k < len(order[c])][:n]


def _record(net: Exhibit) -> dict[str, object]:
    """What the script reads: the parameters of all layers in a row, as floats of four bytes."""
    params = in_order(net.params)
    numbers = np.concatenate([p.reshape(-1) for p in params.values()]).astype("<f4")
    W = list(weights(params).values())
    return {
        "name": net.name,
        "widths": [W[0].shape[1], *(one.shape[0] for one in W)],
        "weights": _base64(numbers),
        "singularValues": np.linalg.svd(W[0].astype(np.float64), compute_uv=False).tolist(),
    }


def _section(i: int, net: Exhibit, test: Split) -> str:
    W = net.params["W1"]
    logits, _ = fcnn.forward(net.params, scale(test.images, W.dtype))
    correct = accuracy(logits, test.labels.astype(np.int64))
    measured = f"effective rank {effective_rank(W):.2f}, effective sparsity {effective_sparsity(W):.1f}"
    return f"""<section class="net" aria-labelledby="net-{i}">
<h2 id="net-{i}">{escape(net.name.capitalize())}</h2>
<p>{escape(net.words)} Test accuracy {correct:.1%}.</p>
<p class="verdict"><span id="verdict-{i}"></span></p>
<p id="margin-{i}"></p>
<div class="pair-of-pictures">
<figure><canvas id="eta-{i}" width="28" height="28" role="img" aria-label="Perturbation"></canvas>
<figcaption>perturbation, full colour at eps</figcaption></figure>
<figure><canvas id="adversarial-{i}" width="28" height="28" role="img" aria-label="Attacked digit"></canvas>
<figcaption>attacked digit</figcaption></figure>
</div>
<table><caption>Logits; the answer is that under attack</caption>
<thead><tr><th scope="col">class</th><th scope="col">clean</th><th scope="col">attacked</th>
<th scope="col">both</th></tr></thead>
<tbody id="logits-{i}"></tbody></table>
<h3>Singular values of W1</h3>
<div class="spectrum" id="spectrum-{i}" role="img" aria-label="Singular values of W1 as bars, largest first"></div>
<p>W1: {measured}.</p>
<h3>Entries of W1, a picture for each unit</h3>
<div class="weights" id="weights-{i}" role="img" aria-label="Rows of W1 as pictures, red above 0, blue below"></div>
</section>"""


def _base64(array: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def _file(name: str) -> str:
    return (files(__package__) / name).read_text()
