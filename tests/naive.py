"""What the library computes, in loops that a child could check."""

import math

import numpy as np


def affine(x, W, b):
    y = np.zeros((len(x), len(W)))
    for i in range(len(x)):
        for j in range(len(W)):
            y[i, j] = b[j] + sum(W[j, k] * x[i, k] for k in range(x.shape[1]))
    return y


def fcnn(params, x):
    depth = len(params) // 2
    for i in range(1, depth + 1):
        x = affine(x, params[f"W{i}"], params[f"b{i}"])
        if i < depth:
            x = np.array([[math.tanh(value) for value in row] for row in x])
    return x


def cross_entropy(logits, y):
    total = 0.0
    for row, label in zip(logits, y, strict=True):
        largest = max(row)
        total += math.log(sum(math.exp(z - largest) for z in row)) + largest - row[label]
    return total / len(y)


def margins(logits, k):
    return np.array(
        [[row[c] - row[j] for j in range(len(row)) if j != c] for row, c in zip(logits, k, strict=True)]
    ).reshape(len(k), logits.shape[1] - 1)


def effective_sparsity(W):
    return sum(abs(w) for w in W.ravel()) / math.sqrt(sum(w * w for w in W.ravel()))


def effective_rank(W):
    """From the eigenvalues of W Wᵀ, not from a singular value decomposition."""
    singular_values = np.sqrt(np.maximum(np.linalg.eigvalsh(W @ W.T), 0))
    return singular_values.sum() / math.sqrt((singular_values**2).sum())


def n_correct(logits, y):
    return sum(max(range(len(row)), key=lambda j: row[j]) == label for row, label in zip(logits, y, strict=True))


def mutual_information(h, sigma2):
    """Both bounds in bits, pair by pair."""
    bounds = []
    for scale in (8, 2):
        total = 0.0
        for a in h:
            near = sum(math.exp(-sum((p - q) ** 2 for p, q in zip(a, b, strict=True)) / (scale * sigma2)) for b in h)
            total -= math.log2(near / len(h))
        bounds.append(total / len(h))
    return tuple(bounds)
