import numpy as np

from minijepa.exercises.checks import B, E, K, T, Case, Gradients

TITLE = "ReLU: where does the gradient pass?"
SOURCE = "minijepa.layers:ReLU"
HINTS = """
Where x_i > 0, y_i is x_i: nudge x_i, and y_i moves by as much. Where x_i < 0, y_i is 0 and stays 0.
These are the two values of ∂y_i/∂x_i.

The gradient is dy_i times that derivative, so dy passes where x is above 0, and nothing passes
elsewhere. It is x that decides, not dy.

x > 0 is an array of True and False, and these count as 1 and 0 when multiplied with dy.
"""
MISTAKES = r"""
### dx is dy at x = 0, where it should be 0: x > 0, not x >= 0
(x > 0) => (x >= 0)
### dx is half of dy at x = 0, where it should be 0
(x > 0) => np.heaviside(x, 0.5)
### the mask is the wrong way round: dy passes where x is below 0, and should where it is above
(x > 0) => (x < 0)
# or
(x > 0) => (x <= 0)
### dy decides where it passes (dy > 0, or max(dy, 0)), and not x: the mask is x > 0
(x > 0) => (dy > 0)
### both x and dy decide where it passes: the mask is x > 0 alone
(x > 0) => (x > 0) * (dy > 0)
### the mask is left out: dy passes everywhere
(x > 0) => 1
### y stands where its slope belongs: dy is multiplied by y = max(x, 0) and not by 1 or 0
dy * (x > 0) => dy * y
### x stands where the slope belongs: dy is multiplied by x, and not by 1 or 0
(x > 0) => x
### dy is left out: this is the slope itself, 1 or 0
dy * (x > 0) => np.where(x > 0, 1.0, 0.0)
### dy is left out, and y is returned: a backward goes from dy to dx
dy * (x > 0) => y
### something is added to dy (the mask, or y), where the two should be multiplied
dy * (x > 0) => dy + y
# or
dy * (x > 0) => dy + (x > 0)
### this is the slope of a leaky ReLU: 0.01 where x is below 0, and it should be 0
(x > 0) => np.where(x > 0, 1, 0.01)
# or
(x > 0) => np.where(x >= 0, 1, 0.01)
### this is the slope of a leaky ReLU: 0.1 where x is below 0, and it should be 0
(x > 0) => np.where(x > 0, 1, 0.1)
### this is the slope of |x|: −1 where x is below 0, by np.sign, and it should be 0
(x > 0) => np.sign(x)
# or
(x > 0) => np.where(x > 0, 1, -1)
### −dy passes where x is below 0, and it should be 0
dy * (x > 0) => -dy * (x < 0)
### the threshold is 1 and not 0
(x > 0) => (x > 1)
### the threshold is the mean of x and not 0
(x > 0) => (x > x.mean())
### the threshold is 0.5 and not 0
(x > 0) => (x > 0.5)
### |x| > 0 is asked, which is so nearly everywhere
(x > 0) => (np.abs(x) > 0)
### this is the slope of a sigmoid in place of a step (that of softplus, not of ReLU)
(x > 0) => (1 / (1 + np.exp(-x)))
### this is the slope of tanh, not of ReLU
(x > 0) => (1 - np.tanh(x)**2)
### this is the slope of an ELU: exp(x) where x is below 0, and it should be 0
(x > 0) => np.where(x > 0, 1, np.exp(x))
### x decides as a whole (any, all or a sum), not entry by entry
(x > 0) => (x.sum() > 0)
# or
(x > 0) => (x > 0).any()
# or
(x > 0) => (x > 0).all()
### the places where x is above 0 are counted: dy is multiplied by their number or by their mean
(x > 0) => (x > 0).sum()
# or
(x > 0) => (x > 0).mean()
### max(dy, x) or min(dy, x) is taken: x only decides where dy passes
dy * (x > 0) => np.maximum(dy, x)
# or
dy * (x > 0) => np.minimum(dy, y)
### max(x·dy, 0) is taken: x only decides where dy passes
dy * (x > 0) => np.maximum(x * dy, 0)
### |dy| stands where dy belongs: its sign is lost
dy * (x > 0) => np.abs(dy) * (x > 0)
### dy is multiplied twice
dy * (x > 0) => dy * dy * (x > 0)
### the mask is transposed or turned round: entry i of dx belongs to entry i of x
(x > 0) => (x > 0)[::-1]
# or
(x > 0) => (x > 0)[..., ::-1]
"""


def cases():
    rng = np.random.default_rng(0)
    for shape in (B, E), (6,), (K, T, B), (1,):
        yield Gradients(f"ReLU, x of shape {shape}", lambda module: module.ReLU(),
                        rng.standard_normal(shape))
    yield Gradients("ReLU, x all negative", lambda module: module.ReLU(), -rng.random((B, E)) - 0.1)
    yield Case("ReLU at the kink, for x = [-1, 0, 2, 0] and dy = [3, 5, 7, -11]",
               lambda module: {"dx": module.ReLU().forward(np.array([-1.0, 0.0, 2.0, -0.0]))[1](
                   np.array([3.0, 5.0, 7.0, -11.0]))}, group="dx")
