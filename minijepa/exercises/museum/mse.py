import numpy as np

from minijepa.exercises.checks import B, K, L, T, Case, Gradients

TITLE = "mean squared error: where the 1/N lives"
SOURCE = "minijepa.losses:mse"
HINTS = """
The loss is a sum of N terms divided by N, and prediction_i is in one of the terms alone.

The derivative of (p − t)² by p is 2·(p − t); by t it is the same with the other sign.

N is the number of all entries, difference.size; and the whole is multiplied by dloss. Return both
gradients, as a tuple.
"""
MISTAKES = r"""
### target gets the same sign as prediction: the derivative of (p − t)² by t is −2·(p − t)
return dprediction, -dprediction => return dprediction, dprediction
### both gradients have the wrong sign, or the two are exchanged
return dprediction, -dprediction => return -dprediction, dprediction
### target gets zeros: it has a gradient too, the opposite of prediction's
return dprediction, -dprediction => return dprediction, 0 * dprediction
### the derivative of p² is taken, 2·p: it is 2·(p − t), in the target too
difference * (2 => prediction * (2
### each gets its own: prediction times 2/N, and target times −2/N; both are of the difference
difference * (2 => prediction * (2
, -dprediction => , -2 * float(dloss) / difference.size * target
# or
difference * (2 => prediction * (2
, -dprediction => , 2 * float(dloss) / difference.size * target
### the square is still there: 2·(p − t)² stands where 2·(p − t) belongs
difference * (2 => difference**2 * (2
# or
difference * (2 * => difference**2 * (
### |p − t| stands where p − t belongs: the sign of the difference is lost
difference * (2 => np.abs(difference) * (2
### the sign of p − t is taken, as for the mean absolute error: it is 2·(p − t)
difference * (2 * => np.sign(difference) * (
# or
difference * (2 => np.sign(difference) * (2
### loss, the number, is multiplied in: the derivative is of the loss, not times it
difference * (2 => loss * difference * (2
# or
difference * (2 * => np.ones_like(difference) * (loss *
### every entry gets the loss, or the loss and a factor: each has its own difference
difference * (2 => np.full_like(difference, loss) * (2
### dloss is left out
2 * float(dloss) => 2
### dloss is squared: it is multiplied in twice
2 * float(dloss) => 2 * float(dloss)**2
### dloss is added or divided by where it should be multiplied
2 * float(dloss) => 2 / float(dloss)
# or
2 * float(dloss) => 2 + float(dloss)
### every entry gets the mean (or the sum) of all differences: each has its own
difference * (2 => np.full_like(difference, difference.mean()) * (2
# or
difference * (2 => np.full_like(difference, difference.sum()) * (2
### the mean over the batch (axis 0) is taken away or in its place: each entry has its own
### difference
difference * (2 => (difference - difference.mean(axis=0)) * (2
# or
difference * (2 => (difference.mean(axis=0) + 0 * difference) * (2
### p + t stands where p − t belongs
difference * (2 => (prediction + target) * (2
### the root of the loss is taken, as for the root mean squared error: there is no root here
float(dloss) / => float(dloss) / loss**0.5 /
# or
(2 * float(dloss) => (float(dloss) / loss**0.5
### the numbers are turned into integers: 2 // N, or int(…), is 0
2 * float(dloss) / difference.size => 2 * float(dloss) // difference.size
# or
2 * float(dloss) / difference.size => 2 * int(dloss) / difference.size
"""


def cases():
    rng = np.random.default_rng(0)
    for shape in (B, L), (1, L), (K, B, T):
        sizes = dict(zip(["batch size", "feature size"] if len(shape) == 2 else
                         ["number of steps", "batch size", "feature size"], shape))
        prediction, target = rng.standard_normal((2, *shape))
        yield Gradients(f"mse, two arrays of shape {shape}", lambda module: module.mse, prediction,
                        target, sizes=sizes)
    yield Case("mse, backward() without an argument", lambda module: dict(zip(
        ("gradient of input 0", "gradient of input 1"), module.mse(prediction, target)[1]())))
