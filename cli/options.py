"""Options that several commands share, and the values they take."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from refimpl.attacks.base import SIDE

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

FOLDER = click.Path(file_okay=False, path_type=Path)


class Numbers(click.ParamType):
    """A comma-separated list: `0.01,0.05,0.1`."""

    def __init__(self, kind: type[int] | type[float]) -> None:
        self.kind, self.name = kind, f"{kind.__name__}s"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[Any, ...]:
        if isinstance(value, tuple):
            return value
        try:
            return tuple(self.kind(part) for part in value.split(","))
        except ValueError:
            self.fail(f"{value!r} is not a comma-separated list of {self.name}", param, ctx)


class Lambdas(click.ParamType):
    """Layers and their lambdas: `1=0.01,2=0.03`, as `{"W1": 0.01, "W2": 0.03}`."""

    name = "layer=lambda"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, float]:
        if isinstance(value, dict):
            return value
        try:
            pairs = [part.split("=") for part in value.split(",")]
            return {f"W{int(layer)}": float(lam) for layer, lam in pairs}
        except ValueError:
            self.fail(f"{value!r} is not a list like 1=0.01,2=0.03", param, ctx)


class Rank(click.ParamType):
    """A number, `3`, or a share of an image's full rank, `10%`, rounded to the nearest; then a number."""

    name = "rank"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, int):
            return value
        try:
            rank = round(float(value[:-1]) / 100 * SIDE) if value.endswith("%") else int(value)
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is neither a number like 3 nor a share like 10%", param, ctx)
        if not 1 <= rank <= SIDE:
            self.fail(f"{value} of an image of rank {SIDE} is rank {rank}: it must be from 1 to {SIDE}", param, ctx)
        return rank


class Ranks(Rank):
    """Several of them: `1,3,50%`."""

    name = "ranks"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, tuple):
            return value
        return tuple(super(Ranks, self).convert(part, param, ctx) for part in value.split(","))


class Share(click.ParamType):
    """A percentage, or the share it is: `50%`, `0.5`."""

    name = "share"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        try:
            return float(value[:-1]) / 100 if value.endswith("%") else float(value)
        except ValueError:
            self.fail(f"{value!r} is neither a percentage like 50% nor a share like 0.5", param, ctx)


def data_dir() -> Decorator:
    order = "REFIMPL_DATA, the user's cache, /usr/share/datasets"
    text = "Folder with the IDX files, or with a folder of them for each data set."
    return click.option("--data-dir", type=FOLDER, show_default=order, help=text)


def backend() -> Decorator:
    text = "Where to compute: numpy, cupy (a CUDA GPU), or auto (cupy where it works)."
    return click.option("--backend", type=click.Choice(["numpy", "cupy", "auto"]), show_default="numpy", help=text)


def threads() -> Decorator:
    text = "BLAS threads. The nets are small: more is slower, and may change the last bits."
    return click.option("--threads", type=click.IntRange(min=1), show_default="1", help=text)


def as_json() -> Decorator:
    return click.option(
        "--json", "as_json", is_flag=True, help="Print one JSON object on standard output, nothing else."
    )


def perturbed_weights() -> Decorator:
    """Training against perturbed weights, and on the bound of the margins: ours, for arXiv 2102.11935."""
    given = (
        click.option(
            "--weights-adversarial",
            type=float,
            show_default="0.0",
            help="Take each gradient at weights perturbed by this much, against the batch; with --adversarial, both.",
        ),
        click.option(
            "--margin-reach",
            type=float,
            show_default="0.0",
            help="lambda of the largest distance that --eps and --eps-weights can move a margin by, a bound; fcnn.",
        ),
        click.option("--eps-weights", type=float, show_default="0.0", help="Of --margin-reach: radius of the weights."),
        click.option(
            "--row-column", type=float, show_default="0.0", help="Factor of the largest row and column sum of layers."
        ),
    )

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(given):
            command = option(command)
        return command

    return decorate


def clip() -> Decorator:
    text = "Keep adversarial pixels in [0, 1]. The paper does not say; unclipped fits its figures."
    return click.option("--clip/--no-clip", default=False, show_default=True, help=text)
