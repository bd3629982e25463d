"""Find the bug: a mean squared error, finished, and wrong in one place.

    prediction, target: arrays of one shape, (B, L) say  ->  loss = Σ (prediction − target)² / (B·L)
    backward: dloss, a number  ->  (dprediction, dtarget), each of the shape of its input

`python bug2.py` runs the check below, and it passes. `python -m minijepa.exercises check bug2`
finds an error. Mend the loss with the help of what it says; then answer: why can the check below
not see it? And would you see it in training, where the loss does go down?
"""

import numpy as np

from minijepa.gradcheck import numeric_gradient
from minijepa.modules import expect


def mse(prediction, target):
    expect("mse's target", target, prediction.shape, prediction.dtype)
    batch = len(prediction)
    difference = prediction - target
    loss = np.mean(difference * difference)

    def backward(dloss=1):
        dprediction = 2 * float(dloss) * difference / difference.size / batch
        return dprediction, -dprediction

    return loss, backward


if __name__ == "__main__":
    rng = np.random.default_rng(0)
    prediction, target = rng.standard_normal((2, 1, 6))                        # a batch of one

    def loss():
        return mse(prediction, target)[0]

    dprediction, dtarget = mse(prediction, target)[1]()
    for array, gradient in [(prediction, dprediction), (target, dtarget)]:
        assert np.allclose(gradient, numeric_gradient(loss, array)), "naive check: failed"
    print("naive check: passed")
