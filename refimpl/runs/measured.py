"""What is measured of a trained net: accuracy, and rank, sparsity and information of every layer."""

from dataclasses import dataclass
from typing import Any

from ..backend import Backend, Params
from ..data.dataset import Split
from ..low_rank import n_weights
from ..measures import interval
from ..measures.per_layer import layer_information, layers
from ..networks import Network
from ..tables import html_table, percent, percent_interval
from ..training import score


@dataclass(frozen=True, kw_only=True)
class LayerMeasures:
    """Of the weight matrix of a layer, of shape (m, n); `rank` where it is kept in factors, information in bits.

    None is what was not asked for. At most sqrt(min(m, n)) is the effective rank, sqrt(m n) the effective sparsity.
    """

    name: str
    shape: tuple[int, int]
    rank: int | None = None
    effective_rank: float
    effective_sparsity: float
    condition_number: float
    mutual_information_lower: float | None = None
    mutual_information_upper: float | None = None
    label_information_lower: float | None = None
    label_information_upper: float | None = None

    def as_dict(self) -> dict[str, Any]:
        return _without_none(vars(self)) | {"shape": list(self.shape)}


@dataclass(frozen=True, kw_only=True)
class NetworkMeasures:
    """Test loss in nats, accuracy on `n` test examples with its exact 95 % interval, the layers, numbers of weights.

    `full_weights` is `weights` with every layer full, where some are kept in factors; `sigma2` the variance of the
    noise under which information was measured, None where it was not.
    """

    dataset: str
    n: int
    test_loss: float
    accuracy: float
    accuracy_interval_95: tuple[float, float]
    layers: tuple[LayerMeasures, ...]
    weights: int
    full_weights: int
    sigma2: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """As measure.json has it: without what was not asked for."""
        interval, rows = list(self.accuracy_interval_95), [layer.as_dict() for layer in self.layers]
        return _without_none(vars(self)) | {"accuracy_interval_95": interval, "layers": rows}

    def _repr_html_(self) -> str:
        accuracy = f"{percent(self.accuracy)} ({percent_interval(self.accuracy_interval_95)}, 95 % interval)"
        bounds = ("I(x;t), bits", "I(y;t), bits") if self.sigma2 is not None else ()
        header = ("layer", "shape", "effective rank", "effective sparsity", *bounds)
        rows = [_cells(layer)[: len(header)] for layer in self.layers]
        return html_table(f"test accuracy {accuracy} on {self.dataset}", header, rows)


def measure(
    network: Network, params: Params, test: Split, backend: Backend, dataset: str, sigma2: float | None = None
) -> NetworkMeasures:
    """The measures of a net on test examples; bounds of mutual information, too, where `sigma2` is given."""
    images, labels = backend.asarray(test.images), backend.asarray(test.labels, "int64")
    loss, correct = (float(number) for number in score(network, params, images, labels))
    rows, n = layers(network, params), len(test.labels)
    if sigma2 is not None:
        known = layer_information(network, params, images, labels, sigma2)
        rows = [row | more for row, more in zip(rows, [*known, {}], strict=True)]
    return NetworkMeasures(
        dataset=dataset,
        n=n,
        test_loss=loss,
        accuracy=correct / n,
        accuracy_interval_95=interval(round(correct), n),
        layers=tuple(LayerMeasures(**row | {"shape": tuple(row["shape"])}) for row in rows),
        weights=n_weights(params),
        full_weights=n_weights(network.full(params)),
        sigma2=sigma2,
    )


def _cells(layer: LayerMeasures) -> list[str]:
    m, n = layer.shape
    bounds = (
        (layer.mutual_information_lower, layer.mutual_information_upper),
        (layer.label_information_lower, layer.label_information_upper),
    )
    known = ["" if low is None or high is None else f"{low:.3f} to {high:.3f}" for low, high in bounds]
    return [layer.name, f"{m} x {n}", f"{layer.effective_rank:.3f}", f"{layer.effective_sparsity:.2f}", *known]


def _without_none(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
