"""Losses: each returns the loss and the backward that gives the gradient of every input."""

import numpy as np

from minijepa.modules import expect


def mse(prediction, target):
    """Mean squared error over all N entries: Σ (prediction − target)² / N.

    Two arrays of one shape  ->  a number, and backward(dloss=1) -> (dprediction, dtarget).
    The 1/N lives here and nowhere else. Raises ValueError or TypeError where the two differ
    in shape or dtype.
    """
    expect("mse's target", target, prediction.shape, prediction.dtype)
    difference = prediction - target
    loss = np.mean(difference * difference)

    def backward(dloss=1):
        dprediction = difference * (2 * float(dloss) / difference.size)
        return dprediction, -dprediction

    return loss, backward


def variance_hinge(latents, floor=1.0, epsilon=1e-4):
    """VICReg's variance term: mean over dimensions of max(0, floor − √(Var + ε)).

    latents (N, L)  ->  a number, and backward(dloss=1) -> dlatents (N, L). Var divides by N − 1.
    It keeps each dimension spread out, and does not see that two may be the same
    (Bardes, Ponce & LeCun 2022).
    """
    N, L = latents.shape
    centred = latents - latents.mean(axis=0)                                   # (N, L)
    std = np.sqrt((centred * centred).sum(axis=0) / (N - 1) + epsilon)         # (L,)
    loss = np.maximum(floor - std, 0).mean()

    def backward(dloss=1):
        dstd = (std < floor) * (-float(dloss) / L)                             # (L,)
        # dVar = dstd / 2·std and dcentred = dVar · 2·centred / (N − 1). That z's mean moves too
        # changes nothing: each column of centred, and so of its gradient, sums to 0.
        return centred * (dstd / std / (N - 1)).astype(latents.dtype)          # (N, L)

    return loss, backward


def covariance_penalty(latents):
    """VICReg's covariance term: Σ over i ≠ j of C_ij² / L, C the covariance matrix (L, L).

    latents (N, L)  ->  a number, and backward(dloss=1) -> dlatents (N, L). C divides by N − 1.
    It keeps the dimensions from saying the same thing twice.
    """
    N, L = latents.shape
    centred = latents - latents.mean(axis=0)                                   # (N, L)
    off_diagonal = centred.T @ centred / (N - 1)                               # (L, L)
    np.fill_diagonal(off_diagonal, 0)
    loss = (off_diagonal * off_diagonal / L).sum()

    def backward(dloss=1):
        # dC = 2·C / L off the diagonal; C is made of centred twice, and both ways give the same
        return centred @ off_diagonal * (4 * float(dloss) / (L * (N - 1)))     # (N, L)

    return loss, backward


def sigreg(latents, directions, knots=17, reach=3.0):
    """SIGReg: are the latents, seen along each of M directions, distributed as a standard normal?

    For u = latents · direction, the Epps-Pulley statistic compares the characteristic function
    of its N values with that of N(0, 1):  N ∫ |mean e^{itu} − e^{−t²/2}|² e^{−t²/2} dt, here by the
    trapezoidal rule over |t| ≤ reach; the loss is its mean over the directions (LeJEPA,
    Balestriero & LeCun 2025).
    latents (N, L), unit directions (L, M)  ->  a number, and backward(dloss=1) -> dlatents (N, L).
    """
    N, dtype = len(latents), latents.dtype
    t = np.linspace(0, reach, knots, dtype=dtype)                              # (Q,); even in t, so
    normal = np.exp(-t * t / 2)                                                # t ≥ 0 counts twice
    weight = np.full(knots, 2 * reach / (knots - 1), dtype) * normal
    weight[[0, -1]] /= 2
    tu = (latents @ directions)[:, :, None] * t                                # (N, M, Q)
    cos, sin = np.cos(tu), np.sin(tu)
    real, imaginary = cos.mean(axis=0) - normal, sin.mean(axis=0)              # (M, Q)
    loss = (N * ((real**2 + imaginary**2) @ weight)).mean()

    def backward(dloss=1):
        # d|·|²/du = 2·(imaginary·cos − real·sin)·t / N, for each u; the 1/N and the N cancel
        du = (imaginary * cos - real * sin) @ (t * weight)                     # (N, M)
        return du @ directions.T * (2 * float(dloss) / directions.shape[1])    # (N, L)

    return loss, backward


def no_regularizer(latents):
    """Nothing is asked of the latents."""
    return latents.dtype.type(0), lambda dloss=1: np.zeros_like(latents)


class VICReg:
    """variance_weight · variance_hinge + covariance_weight · covariance_penalty of (..., L)."""

    def __init__(self, variance_weight, covariance_weight):
        self.variance_weight, self.covariance_weight = variance_weight, covariance_weight

    def __call__(self, latents):
        rows = latents.reshape(-1, latents.shape[-1])                          # (N, L)
        if len(rows) == 1:                             # left over for the last batch: no variance
            return no_regularizer(latents)
        variance, variance_backward = variance_hinge(rows)
        covariance, covariance_backward = covariance_penalty(rows)

        def backward(dloss=1):
            drows = (variance_backward(self.variance_weight * dloss)
                     + covariance_backward(self.covariance_weight * dloss))    # (N, L)
            return drows.reshape(latents.shape)

        penalty = self.variance_weight * variance + self.covariance_weight * covariance
        return latents.dtype.type(penalty), backward


class SIGReg:
    """weight · sigreg of latents (..., L), along directions that are drawn anew at each call."""

    def __init__(self, rng, weight, directions=64):
        self.rng, self.weight, self.directions = rng, weight, directions

    def __call__(self, latents):
        rows = latents.reshape(-1, latents.shape[-1])                          # (N, L)
        directions = self.rng.standard_normal((rows.shape[1], self.directions))
        directions = directions.astype(rows.dtype)
        directions /= np.linalg.norm(directions, axis=0)                       # (L, M), of length 1
        loss, sigreg_backward = sigreg(rows, directions)
        return (latents.dtype.type(self.weight * loss),
                lambda dloss=1: sigreg_backward(self.weight * dloss).reshape(latents.shape))
