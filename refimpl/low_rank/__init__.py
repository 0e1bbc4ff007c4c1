"""Robust low-rank training (Savostianova, Zangrando, Ceruti and Tudisco 2023): a network and an optimizer of its own.

Read `factorization`, what is done to $W = U S V^\\top$; `network`, the passes through the factors; `sgd`, the steps.
"""

from .network import LowRankNetwork, dense, factorised, mean_singular_values, n_weights
from .sgd import LowRank, LowRankSGD

__all__ = ["LowRank", "LowRankNetwork", "LowRankSGD", "dense", "factorised", "mean_singular_values", "n_weights"]
