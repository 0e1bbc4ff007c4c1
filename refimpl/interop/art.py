"""A net of ours as a classifier of the Adversarial Robustness Toolbox (Nicolae et al. 2018), without PyTorch."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from jaxtyping import Float

from ..backend import Params, to_host
from ..errors import UsageError
from ..layers.loss import cross_entropy, one_hot
from ..networks.base import Network
from ..parameters import n_classes
from ..tape import input_gradient
from .layers import image_shape

try:
    from art.estimators import BaseEstimator, LossGradientsMixin, NeuralNetworkMixin
    from art.estimators.classification import ClassGradientsMixin, ClassifierMixin
except ModuleNotFoundError as error:
    raise UsageError(
        "the Adversarial Robustness Toolbox is not installed: `pip install 'refimpl[interop]'` installs it"
    ) from error

REDUCTIONS: dict[str, Callable[..., Any]] = {"none": np.asarray, "mean": np.mean, "sum": np.sum}


class Classifier(ClassGradientsMixin, ClassifierMixin, LossGradientsMixin, NeuralNetworkMixin, BaseEstimator):
    """The net as ART's attacks and metrics take one.

    Images are (batch, channels, height, width) in [0, 1], labels one-hot or numbers, predictions logits, losses
    cross-entropies. ART passes single precision; a net in float64 is given its numbers as they are. The weights are
    not trained here.
    """

    estimator_params = BaseEstimator.estimator_params + NeuralNetworkMixin.estimator_params

    def __init__(self, network: Network, params: Params, clip_values: tuple[float, float] | None = (0.0, 1.0)) -> None:
        super().__init__(model=network, clip_values=clip_values, channels_first=True)
        self._params = {name: to_host(p) for name, p in params.items()}
        self._gradients = network.gradients(self._params)
        self._input_shape, self._nb_classes = image_shape(network, params), n_classes(params)
        blank = np.zeros((1, *self._input_shape))
        self._layer_names = [f"t{i}" for i in range(1, 1 + len(network.hidden(self._params, self._rows(blank))))]

    @property
    def input_shape(self) -> tuple[int, ...]:
        return self._input_shape

    def predict(self, x: np.ndarray, batch_size: int = 128, **unused: Any) -> Float[np.ndarray, "batch classes"]:
        """The logits."""
        return np.concatenate([self._gradients.logits(rows) for rows in self._batches(x, batch_size)])

    def loss_gradient(self, x: np.ndarray, y: np.ndarray, **unused: Any) -> Float[np.ndarray, "batch *shape"]:
        """The gradient with respect to each image of its cross-entropy."""
        return self._gradients.loss(self._labels(y))(self._rows(x)).reshape(x.shape)

    def compute_loss(self, x: np.ndarray, y: np.ndarray, reduction: str = "none", **unused: Any) -> np.ndarray:
        """The cross-entropy of each image, or their mean or sum. Raises `UsageError` for another reduction."""
        if reduction not in REDUCTIONS:
            raise UsageError(f"unknown reduction {reduction!r}: choose one of {', '.join(REDUCTIONS)}")
        losses, _ = cross_entropy(self.predict(x)[:, None, :], self._labels(y)[:, None])
        return np.asarray(REDUCTIONS[reduction](losses))

    def class_gradient(
        self, x: np.ndarray, label: int | list[int] | np.ndarray | None = None, **unused: Any
    ) -> Float[np.ndarray, "batch classes *shape"]:
        """The gradients with respect to each image of all logits, or of one: of the same, or of one an image."""
        logits, tape = self._model.forward(self._params, self._rows(x))
        if label is None:
            wanted = np.arange(self._nb_classes)[:, None] + np.zeros(len(x), int)
        else:
            wanted = np.broadcast_to(np.asarray(label, int), (1, len(x)))
        dx = input_gradient(tape, one_hot(wanted, self._nb_classes, logits.dtype))
        return dx.transpose(1, 0, 2).reshape(len(x), len(wanted), *x.shape[1:])

    def get_activations(
        self, x: np.ndarray, layer: int | str, batch_size: int = 128, framework: bool = False
    ) -> Float[np.ndarray, "batch units"]:
        """A hidden representation of Eq. (1), by its index from 0 or its name t1, t2, ...

        Raises `UsageError` for another layer, and where a tensor of a framework is asked for: there is none.
        """
        names = self._layer_names
        if layer in names:
            layer = names.index(layer)
        if not (isinstance(layer, int) and 0 <= layer < len(names)) or framework:
            raise UsageError(f"there are the arrays of the layers 0 to {len(names) - 1}, {', '.join(names)}")
        batches = [self._model.hidden(self._params, rows)[layer] for rows in self._batches(x, batch_size)]
        return np.concatenate(batches)

    def fit(self, x: np.ndarray, y: np.ndarray, **unused: Any) -> None:
        """Raises `UsageError`: nets are trained by `refimpl train`."""
        raise UsageError("the net is not trained through ART: `refimpl train` trains nets")

    def _rows(self, x: np.ndarray) -> Float[np.ndarray, "batch n"]:
        """Images as rows in the dtype of the weights."""
        return x.reshape(len(x), -1).astype(self._params["b1"].dtype)

    def _batches(self, x: np.ndarray, size: int) -> Iterator[Float[np.ndarray, "_ n"]]:
        rows = self._rows(x)
        return (rows[i : i + size] for i in range(0, len(rows), size))

    def _labels(self, y: np.ndarray) -> np.ndarray:
        """One-hot labels as numbers."""
        return (y.argmax(axis=1) if y.ndim == 2 and y.shape[1] > 1 else y.reshape(-1)).astype(np.int64)
