"""mse: the mean squared error over all N entries, Σ (prediction − target)² / N.

    prediction, target: two arrays of one shape, (B, L) say, so that N = B·L  ->  loss, a number
    backward: dloss, a number (1 where the loss is the end of the chain)
              ->  (dprediction, dtarget), each of the shape of its input

Derive ∂loss/∂prediction_i: one term of the sum contains prediction_i, and that term is divided by
N, by all of N and once only. What changes for target_i?

The check looks at: both gradients against finite differences, for a batch of one and of several,
for a dloss other than 1, and for arrays of more than two dimensions.
"""

import numpy as np

from minijepa.modules import expect


def mse(prediction, target):
    expect("mse's target", target, prediction.shape, prediction.dtype)
    difference = prediction - target
    loss = np.mean(difference * difference)

    def backward(dloss=1):
        raise NotImplementedError("your turn")

    return loss, backward
