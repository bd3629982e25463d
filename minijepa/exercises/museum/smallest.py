import numpy as np

from minijepa.exercises.checks import B, E, Gradients

TITLE = "the smallest over z: only the winner learns"
SOURCE = "minijepa.losses:smallest"
HINTS = """
Of each example the winner's distance alone is in the loss: its prediction gets 2·difference /
(B·L), times dloss, and all others get 0.

wins[:, :, None] * difference is the difference where it counts. The target is in all K differences,
with a minus, and only one of them is not 0: sum over K, and keep the axis.
"""
WAYS = "difference * share[:, :, None]"
MISTAKES = r"""
### all K predictions learn, and should not: only the winner of each example has a gradient
WAYS => difference
### all K predictions learn, each a K-th: that is the gradient of the mean over z, not of the
### smallest
WAYS => difference / K
### the losers learn, and not the winner
WAYS => difference * ~wins[:, :, None]
### the farthest learns, and not the nearest
WAYS => difference * (np.arange(K)[:, None] == distances.argmax(axis=0))[:, :, None]
### one z wins for the whole batch: each example has its own winner
WAYS => difference * (np.arange(K)[:, None] == distances.mean(axis=1).argmin())[:, :, None]
### the weights are a softmin of the distances: only the winner has a gradient
WAYS => difference * (np.exp(-distances) / np.exp(-distances).sum(axis=0))[:, :, None]
### the factor 2 of the square is missing
(2 * float(dloss) / => (float(dloss) /
### it is not divided by the batch
/ (B * L) => / L
### it is not divided by L, as the mean over the features is
/ (B * L) => / B
### it is divided by K too: the loss is a smallest over z, and no mean
/ (B * L) => / (K * B * L)
### it is divided neither by B nor by L
/ (B * L) =>
### dloss is left out
float(dloss) => 1
### the target gets the same sign as the predictions: it is the opposite
-dpredictions.sum => dpredictions.sum
### the target gets no gradient
-dpredictions.sum(axis=0, keepdims=True) => 0 * target
# or
-dpredictions.sum(axis=0, keepdims=True) => None
### the target gets the mean over K, and should get the sum
-dpredictions.sum(axis=0, => -dpredictions.mean(axis=0,
### the axis of K is gone from the target's gradient: keepdims=True
-dpredictions.sum(axis=0, keepdims=True) => -dpredictions.sum(axis=0)
### the target's gradient is not summed over K
-dpredictions.sum(axis=0, keepdims=True) => -dpredictions
### the target gets the first prediction's gradient alone, whoever wins
-dpredictions.sum(axis=0, keepdims=True) => -dpredictions[:1]
### the target gets the gradient from all K, the losers too
-dpredictions.sum(axis=0, keepdims=True)
=> -(difference * 2 * float(dloss) / (B * L)).sum(axis=0, keepdims=True)
### the two are exchanged, or both have the wrong sign
return dpredictions, - => return -dpredictions,
""".replace("WAYS", WAYS)


def cases():
    rng = np.random.default_rng(0)
    for K in 3, 2, 1:
        predictions, target = rng.standard_normal((K, B, E)), rng.standard_normal((1, B, E))
        yield Gradients(f"smallest of {K}", lambda module: module.smallest, predictions, target,
                        sizes={"batch size": B, "feature size": E, "number of z": K})
