"""The options of low-rank training, and what they make of a net, in words."""

from typing import Any

import click

from refimpl.backend import backend
from refimpl.low_rank.network import dense, n_weights
from refimpl.low_rank.sgd import MODES, PRECONDITIONERS
from refimpl.runs.config import Config

from .console import note, percent
from .options import Share

SETTINGS = ("low_rank", "tau", "low_rank_mode", "preconditioner")


def options(command: Any) -> Any:
    for option in reversed(
        (
            click.option(
                "--low-rank",
                type=Share(),
                help="Keep layers as U S V^T of this share of the full rank, 50% or 0.5; the last keeps its full rank"
                " (Savostianova et al. 2023).",
            ),
            click.option(
                "--tau", type=float, show_default="0.1", help="Of --low-rank: condition numbers are at most 1 + tau."
            ),
            click.option(
                "--low-rank-mode",
                type=click.Choice(MODES),
                show_default="clamp",
                help="Of --low-rank: bound the condition numbers by clamping singular values, or make all the same.",
            ),
            click.option(
                "--preconditioner",
                type=click.Choice(PRECONDITIONERS),
                show_default="scalar",
                help="Of the steps of U and V in --low-rank: the authors' program's, their theory's, or none.",
            ),
        )
    ):
        command = option(command)
    return command


def describe(config: Config) -> None:
    """A line with the ranks, and the number of weights beside that of full layers, where layers are in factors."""
    if config.low_rank is None:
        return
    params = config.init(backend("numpy"))
    full = dense(params)
    ranks = [
        f"{name} {params[f'S{name[1:]}'].shape[0]} of {min(W.shape[0], W[0].size)}"
        for name, W in full.items()
        if name.startswith("W")
    ]
    kept, before = n_weights(params), n_weights(full)
    note(f"ranks: {', '.join(ranks)}; {kept:,} weights, {percent(kept / before)} of the {before:,} of full layers")
