"""What the latent space looks like. No gauge is enough alone: read them side by side.

All work in float64 whatever the model's dtype, since collapsed latents differ in their last digits.
"""

import numpy as np

TINY = float(np.finfo(np.float32).tiny)      # stands in for a zero that would be divided by


def std(latents):
    """The standard deviation of each dimension over N latents, averaged: (N, L) -> a number.

    Near 0: all latents are one point. It looks healthy when they lie on a line.
    """
    return float(latents.std(axis=0, dtype=np.float64).mean())


def effective_rank(latents):
    """How many directions the latents use: exp(−Σ p log p), p = σ / Σσ (Roy & Vetterli 2007).

    σ are the singular values of the centred latents (N, L). 1 for a line, up to L for a round
    cloud, 0 where all are the same point. It looks high on a cloud of rounding errors.
    """
    centred = latents.astype(np.float64) - latents[0]  # exactly 0 where all are the same point
    centred -= centred.mean(axis=0)
    if not np.isfinite(centred).all():
        return float("nan")
    sigma = np.linalg.svd(centred, compute_uv=False)
    if sigma.sum() == 0:
        return 0.0
    p = sigma / sigma.sum()
    p = p[p > 0]                                       # p log p → 0 as p → 0
    return float(np.exp(-(p * np.log(p)).sum()))


def relative_loss(predictions, targets):
    """Mean squared error / variance of the targets: two (N, L) -> a number.

    1 is what predicting the mean target gives; unlike the loss it does not fall when the targets
    shrink.
    It looks good on a line, which is easy to predict.
    """
    variance = targets.var(axis=0, dtype=np.float64).mean()
    difference = predictions.astype(np.float64) - targets
    return float(np.mean(difference**2) / max(variance, TINY))


def collapse_gauges(predictions, targets):
    """The three above, side by side: of targets (..., L) and what is predicted of them."""
    predictions, targets = (rows.reshape(-1, rows.shape[-1]) for rows in (predictions, targets))
    return {"relative_loss": relative_loss(predictions, targets), "std": std(targets),
            "effective_rank": effective_rank(targets)}


def cosine_similarity(a, b):
    """a·b / (|a| |b|) of every row with every row: (N, L), (V, L) -> (N, V)."""
    return unit_rows(a) @ unit_rows(b).T


def unit_rows(rows):
    """Each row over its length, in float64; 0 where it is 0."""
    rows = rows.astype(np.float64)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), TINY)


def retrieve(predictions, latents, count=1):
    """The latents nearest to each prediction by cosine, best first: (N, L), (V, L) -> (N, count).

    It may be right even where all latents are nearly one point: the cosine is blind to their size.
    """
    similarity = cosine_similarity(predictions, latents)                       # (N, V)
    return np.argsort(-similarity, axis=1, kind="stable")[:, :count]


def linear_probe(x, y, ridge=1e-6):
    """Ridge regression in closed form: W = (XᵀX / N + ridge·I)⁻¹ XᵀY / N, both centred.

    x (N, D), y (N,) or (N, C) of training data  ->  a function: x' (M, D)  ->  y' (M,) or (M, C).
    It tells what can be read off linearly, on data it was not fitted on. Alone it says little:
    the raw input may do as well, so it is printed beside its baselines.
    """
    x_mean, y_mean = x.mean(axis=0, dtype=np.float64), y.mean(axis=0, dtype=np.float64)
    centred = x - x_mean                                                       # (N, D)
    gram = centred.T @ centred / len(x) + ridge * np.eye(x.shape[1])           # (D, D)
    weight = np.linalg.solve(gram, centred.T @ (y - y_mean) / len(x))          # (D,) or (D, C)
    return lambda x: (x - x_mean) @ weight + y_mean


def choose_ridge(x, y, times=(0.01, 0.03, 0.1, 0.3, 1, 3)):
    """The ridge with which `linear_probe` errs least on rows left out: so many times the variance.

    x (N, D), y (N, C)  ->  a number. No probe is fitted N times: it predicts H·y, with the hat
    matrix H = XXᵀ (XXᵀ + N·ridge·I)⁻¹ + 1/N, X centred, and the error of row n, were it left out,
    is (y − H·y)_n / (1 − H_nn).
    """
    centred = x - x.mean(axis=0, dtype=np.float64)                             # (N, D)
    size, vectors = np.linalg.eigh(centred @ centred.T / len(x))               # (N,), (N, N)
    ridges, errors = np.array(times) * max(np.mean(centred**2), TINY), []
    for ridge in ridges:
        hat = vectors * (size / (size + ridge)) @ vectors.T + 1 / len(x)       # (N, N)
        left_out = (y - hat @ y) / (1 - np.diag(hat))[:, None]                 # (N, C)
        errors.append(np.sum(left_out**2))
    return ridges[np.argmin(errors)]


def principal_components(x, count):
    """Projection on the first `count` principal components of x (N, D): (M, D) -> (M, count)."""
    mean = x.mean(axis=0, dtype=np.float64)
    directions = np.linalg.svd(x - mean, full_matrices=False)[2][:count]       # (count, D)
    return lambda x: (x - mean) @ directions.T


def r_squared(y, predicted):
    """1 − Σ (y − predicted)² / Σ (y − mean)², over all N and columns: 1 is perfect, 0 is the mean.

    A wide column hides what becomes of a narrow one.
    """
    return float(1 - ((y - predicted) ** 2).sum() / ((y - y.mean(axis=0)) ** 2).sum())


def rmse(y, predicted):
    """The root of the mean squared error, in the unit of y. It is small wherever y hardly moves."""
    return float(np.sqrt(np.mean((y - predicted) ** 2)))
