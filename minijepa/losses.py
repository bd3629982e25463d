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
