"""VICReg's covariance penalty: no two dimensions may say the same thing. The forward is given.

    C    = centredᵀ · centred / (N − 1)             the covariance matrix (L, L)
    loss = Σ over i ≠ j of C_ij² / L                its diagonal, the variances, is left out

    latents (N, L)  ->  loss, a number
    backward: dloss, a number (1 where the loss is the end of the chain)  ->  dlatents (N, L)

First ∂loss/∂C, a matrix (L, L): what stands on its diagonal? Then from C to centred. Write one
entry, C_ij = Σ_n centred_ni · centred_nj / (N − 1), and ask in how many entries of C centred_ni
occurs: each pair i, j is in C twice. That the mean moves with the latents adds nothing, as in the
variance hinge: why?

The check looks at: the gradient against finite differences, for many latents and for two, for one
dimension and for several, for dimensions that repeat another one, and for a dloss other than 1.
"""

import numpy as np


def covariance_penalty(latents):
    N, L = latents.shape
    centred = latents - latents.mean(axis=0)                                   # (N, L)
    off_diagonal = centred.T @ centred / (N - 1)                               # (L, L)
    np.fill_diagonal(off_diagonal, 0)
    loss = (off_diagonal * off_diagonal).sum() / L

    def backward(dloss=1):
        raise NotImplementedError("your turn")

    return loss, backward
