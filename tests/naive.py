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


def im2col(x, k):
    """x (C, H, W): the patches as columns."""
    _, H, W = x.shape
    corners = [(i, j) for i in range(H - k + 1) for j in range(W - k + 1)]
    return np.array([x[:, i : i + k, j : j + k].ravel() for i, j in corners]).T


def conv2d(x, W, b):
    batch, C, H, width = x.shape
    filters, _, k, _ = W.shape
    y = np.zeros((batch, filters, H - k + 1, width - k + 1))
    for n in range(batch):
        for o in range(filters):
            for i in range(H - k + 1):
                for j in range(width - k + 1):
                    y[n, o, i, j] = b[o] + sum(
                        W[o, c, p, q] * x[n, c, i + p, j + q] for c in range(C) for p in range(k) for q in range(k)
                    )
    return y


def convolution_matrix(W, H, width):
    """The matrix of the convolution without bias: one column for each pixel of the input."""
    pixels = W.shape[1] * H * width
    basis = np.eye(pixels).reshape(pixels, W.shape[1], H, width)
    return np.stack([conv2d(e[None], W, np.zeros(len(W))).ravel() for e in basis], axis=1)


def max_pool(x):
    """The largest entries, and for each the flat index of where it was, the first of equals."""
    *batch, H, W = x.shape
    images = x.reshape(-1, H, W)
    y = np.zeros((len(images), H // 2, W // 2))
    where = np.zeros(y.shape, int)
    for n, image in enumerate(images):
        for i in range(H // 2):
            for j in range(W // 2):
                window = [(2 * i + p, 2 * j + q) for p in range(2) for q in range(2)]
                best = max(window, key=lambda at: image[at])  # max takes the first of equals
                y[n, i, j], where[n, i, j] = image[best], np.ravel_multi_index((n, *best), images.shape)
    return y.reshape(*batch, H // 2, W // 2), where.reshape(*batch, H // 2, W // 2)


def cnn(params, x, padding, activation, dense="tanh"):
    functions = {
        "relu": lambda v: max(v, 0.0),
        "tanh": math.tanh,
        "identity": lambda v: v,
        "leaky-relu": lambda v: v if v > 0 else v / 100,
    }
    act = functions[activation]
    side = math.isqrt(x.shape[1])
    x = x.reshape(-1, 1, side, side)
    for i in (1, 2):
        border = params[f"W{i}"].shape[-1] // 2 if padding == "same" else 0
        x = np.pad(x, ((0, 0), (0, 0), (border, border), (border, border)))
        x = np.vectorize(act)(conv2d(x, params[f"W{i}"], params[f"b{i}"]))  # activation first, as the paper draws it
        x = max_pool(x)[0]
    h = np.vectorize(functions[dense])(affine(x.reshape(len(x), -1), params["W3"], params["b3"]))
    return affine(h, params["W4"], params["b4"])
