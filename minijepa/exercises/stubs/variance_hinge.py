"""VICReg's variance hinge: no dimension of the latents may shrink to a point. The forward is given.

    Var_j = Σ_n (z_nj − mean_j)² / (N − 1)         for each of the L dimensions
    std_j = √(Var_j + ε)
    loss  = mean over j of max(0, floor − std_j)

    latents z (N, L)  ->  loss, a number
    backward: dloss, a number (1 where the loss is the end of the chain)  ->  dlatents (N, L)

Go back through it link by link. ∂loss/∂std_j: where does the hinge let anything pass? From std to
Var: what is the derivative of a root? From Var_j to z_nj: the mean moves with z too; work out what
that adds (the sum of a centred column is a number that you know).

In which direction does a step against this gradient move the latents of a dimension that is too
narrow?

The check looks at: the gradient against finite differences, for dimensions above the floor and
below it, for several values of floor and epsilon, and for a dloss other than 1.
"""

import numpy as np


def variance_hinge(latents, floor=1.0, epsilon=1e-4):
    N, L = latents.shape
    centred = latents - latents.mean(axis=0)                                   # (N, L)
    std = np.sqrt((centred * centred).sum(axis=0) / (N - 1) + epsilon)         # (L,)
    loss = np.maximum(floor - std, 0).mean()

    def backward(dloss=1):
        raise NotImplementedError("your turn")

    return loss, backward
