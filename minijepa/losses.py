"""Losses: each returns the loss and the backward that gives the gradient of every input."""

import numpy as np

from minijepa.modules import expect

TINY = 1e-12                                           # of a latent of length 0, or nearly


def mse(prediction, target):
    """Mean squared error over all N entries: Σ (prediction − target)² / N.

    Two arrays of one shape  ->  a number, and backward(dloss=1) -> (dprediction, dtarget).
    The 1/N lives here and nowhere else. Raises ValueError or TypeError where the two differ
    in shape or dtype.
    """
    expect("mse's target", target, prediction.shape, prediction.dtype)
    difference = prediction - target
    loss = np.vdot(difference, difference) / difference.size               # Σ difference² / N

    def backward(dloss=1):
        dprediction = difference * (2 * float(dloss) / difference.size)
        return dprediction, -dprediction

    return loss, backward


def smallest(predictions, target, soft=0.0):
    """The smallest over z of the mean squared error d_z = |ŝ_z − s_y|² / L, averaged over B.

    Of each example (1 − soft)·min_z d_z + soft·mean_z d_z: the winner learns, and with a soft part
    a little all of them, so that none is left behind (LeCun 2022: F = min_z E; Rupprecht et al.
    2017: the relaxed winner). Where several tie, the first wins.
    predictions (K, B, L), target (1, B, L)  ->  a number, and backward(dloss=1) -> the gradients
    of both. Raises ValueError or TypeError where shape or dtype do not fit.
    """
    K, B, L = predictions.shape
    expect("smallest's target", target, (1, B, L), predictions.dtype)
    difference = predictions - target                                          # (K, B, L)
    distances = (difference * difference).mean(axis=2)                         # (K, B)
    wins = np.arange(K)[:, None] == distances.argmin(axis=0)                   # (K, B)
    share = ((1 - soft) * wins + soft / K).astype(predictions.dtype)           # sums to 1 over K
    loss = (share * distances).sum(axis=0).mean()

    def backward(dloss=1):
        dpredictions = difference * share[:, :, None] * (2 * float(dloss) / (B * L))
        return dpredictions, -dpredictions.sum(axis=0, keepdims=True)

    return loss, backward


class Smallest:
    """`smallest` with a soft part that may fade in the course of the training."""

    def __init__(self, soft):
        self.soft = soft

    def __call__(self, predictions, target):
        return smallest(predictions, target, self.soft)


def cross_entropy(logits, target):
    """−Σ target·log softmax(logits), averaged over N: the classifier's loss.

    logits (..., C), target (..., C), each row of which sums to 1  ->  a number, and
    backward(dloss=1) -> (dlogits, dtarget). The rows are all leading dimensions, N of them.
    """
    expect("cross_entropy's target", target, logits.shape, logits.dtype)
    N = logits.size // logits.shape[-1]
    shifted = logits - logits.max(axis=-1, keepdims=True)                      # or exp overflows
    exponential = np.exp(shifted)
    total = exponential.sum(axis=-1, keepdims=True)                            # (..., 1)
    log_p = shifted - np.log(total)                                            # (..., C)
    loss = logits.dtype.type(-(target * log_p).sum() / N)

    def backward(dloss=1):
        scale = float(dloss) / N
        mass = target.sum(axis=-1, keepdims=True)      # 1, but for a difference taken along target
        return (exponential / total * mass - target) * scale, -log_p * scale

    return loss, backward


def infonce(prediction, target, temperature=0.07):
    """InfoNCE in both directions: which of the batch's N targets belongs to which prediction?

    With u = ŝ / |ŝ| and v = s / |s|, logits_ij = u_i·v_j / temperature: the mean of the
    cross-entropies of softmax over j and of softmax over i, the right one on the diagonal
    (van den Oord et al. 2018; both directions: CLIP, Radford et al. 2021).
    Two arrays (..., L) of N latents  ->  a number, and backward(dloss=1) -> the gradients of both.
    """
    expect("infonce's target", target, prediction.shape, prediction.dtype)
    (u, u_backward), (v, v_backward) = unit(prediction), unit(target)          # (N, L) each
    logits, right = u @ v.T / temperature, np.eye(len(u), dtype=u.dtype)       # (N, N)
    across, across_backward = cross_entropy(logits, right)
    down, down_backward = cross_entropy(logits.T, right)

    def backward(dloss=1):
        half = float(dloss) / 2
        dlogits = across_backward(half)[0] + down_backward(half)[0].T          # (N, N)
        return u_backward(dlogits @ v / temperature), v_backward(dlogits.T @ u / temperature)

    return u.dtype.type((across + down) / 2), backward


def unit(latents):
    """Each latent x (..., L) over its length, u = x / |x| (N, L), and the backward of that."""
    rows = latents.reshape(-1, latents.shape[-1])                              # (N, L)
    length = np.sqrt((rows * rows).sum(axis=1, keepdims=True) + TINY)          # (N, 1)
    u = rows / length

    def backward(du):                                  # along u itself, the length takes it back
        return ((du - u * (du * u).sum(axis=1, keepdims=True)) / length).reshape(latents.shape)

    return u, backward


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
