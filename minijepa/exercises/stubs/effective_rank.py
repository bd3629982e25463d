"""Effective rank: how many directions do the latents use? (Roy & Vetterli 2007)

    σ = the singular values of the centred latents
    p = σ / Σσ                          shares, which add up to 1
    effective rank = exp(−Σ p·log p)    the exponential of their entropy, natural logarithm

    latents (N, L)  ->  a number: 1 for a line, to L for a round cloud, 0.0 where all are one point

"Centred": the mean of each column is taken away first, since a cloud far from the origin would
otherwise look like one long direction. np.linalg.svd gives the singular values. Work out by hand
what comes out if n of the p are equal and the others are 0, and what 0·log 0 has to count for then.

The check looks at: random clouds of known and unknown shape, near the origin and far from it, more
points than dimensions and fewer; a line; one point.
"""

import numpy as np


def effective_rank(latents):
    raise NotImplementedError("your turn")
