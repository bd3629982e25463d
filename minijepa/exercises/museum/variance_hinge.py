import numpy as np

from minijepa.exercises.checks import Case, Gradients

TITLE = "the variance hinge: no dimension may die"
SOURCE = "minijepa.losses:variance_hinge"
HINTS = """
loss is the mean of L hinges: a dimension with std_j < floor has ∂loss/∂std_j = −1/L, any other has
0. That is an array (L,): dstd.

std = √(Var + ε), so dVar = dstd / (2·std): the root that the forward has computed stands below.

Var is a sum of squares over N − 1, so each entry of column j gets dVar_j · 2·centred_nj / (N − 1).
The mean: taking it away in the forward means taking the mean of each column of the gradient away
in the backward; and that is 0 already, since centred sums to 0.

dstd = (std < floor) * (-float(dloss) / L); then centred * (dstd / std / (N - 1)): the two 2s
cancel.
"""
MISTAKES = r"""
### every dimension gets a gradient: one whose std is above the floor should get none
(std < floor) => 1
### the hinge is the wrong way round: the dimensions above the floor get a gradient, not those below
(std < floor) => (std > floor)
### the hinge's own value is multiplied in, as for a square: its slope is −1 or 0
(std < floor) => np.maximum(floor - std, 0)
### the hinge's own value is multiplied in, times 2: as if it were squared
(std < floor) => 2 * np.maximum(floor - std, 0)
### the sign of floor − std is taken: above the floor it should be 0
(std < floor) => np.sign(floor - std)
### the loss as a whole decides, and not each dimension: std < floor
(std < floor) => (loss > 0)
# or
(std < floor) => (std.mean() < floor)
# or
(std < floor) => (std < floor).all()
### the variance, and not std, is compared with the floor
(std < floor) => (std**2 < floor)
# or
(std < floor) => (std**2 - epsilon < floor)
### the variance is divided by N − 1 in the forward, and by N here
std / (N - 1) => std / N
### it is not divided by N − 1, as the forward is
dstd / std / (N - 1) => dstd / std
### it is divided by the number of latents or N − 1 once too often
dstd / std / (N - 1) => dstd / std / (N - 1) / N
# or
dstd / std / (N - 1) => dstd / std / (N - 1)**2
### the mean over the L dimensions is left out: ∂loss/∂std is −1/L
-float(dloss) / L) => -float(dloss))
### it is divided by L twice
-float(dloss) / L) => -float(dloss) / L / L)
### the derivative of the root is missing: dVar = dstd / (2·std)
dstd / std / => 2 * dstd /
### it is not divided by std, as the derivative of the root is
dstd / std / => dstd /
### it is multiplied by std, and should be divided: the derivative of the root is 1 / (2·std)
dstd / std / => dstd * std /
### it is divided by Var + ε and not by its root, std
dstd / std / => dstd / std**2 /
### both factors 2 do not cancel: the 2 of the root is missing, that of the square is there
dstd / std / => 2 * dstd / std /
### both factors 2 do not cancel: the 2 of the square is missing, that of the root is there
dstd / std / => dstd / (2 * std) /
### the latents stand where centred belongs: their mean was taken away first
return centred * => return latents *
### centred is left out: all entries of a dimension get the same, however far each is from the mean
return centred * => return np.ones_like(centred) *
### the sign of centred is taken: how far each is from the mean counts
return centred * => return np.sign(centred) *
### |centred| stands where centred belongs: the sign is lost
return centred * => return np.abs(centred) *
### centred is squared: the derivative of a square is 2·centred
return centred * => return centred**2 *
### the argument floor is ignored, and 1 is used
(std < floor) => (std < 1)
### ε is left out of the root: std has it in
dstd / std / => dstd / np.sqrt(std**2 - epsilon) /
### ε is added once more, to std: it is in there already
dstd / std / => dstd / (std + epsilon) /
# or
dstd / std / => dstd / np.sqrt(std**2 + epsilon) /
### the argument epsilon is ignored: 1e-4 is used in the backward
dstd / std / => dstd / np.sqrt(std**2 - epsilon + 1e-4) /
### np.std divides by N: its std is another one than the forward's
dstd / std / => dstd / latents.std(axis=0) /
### dloss is left out
float(dloss) => 1
### dloss is multiplied in twice
float(dloss) => float(dloss)**2
### the opposite sign: ∂loss/∂std is −1/L below the floor
-float(dloss) => float(dloss)
### loss, the number, is multiplied in
float(dloss) => float(dloss) * loss
### std is averaged over the dimensions: each is divided by its own
dstd / std / => dstd / std.mean() /
### the gradient is averaged over the dimensions: each has its own
return centred * => return centred * np.ones_like(std) * 0 + centred.mean(axis=1, keepdims=True) *
"""


def penalty(name, what, latents, *more, **options):
    """The gradient of a function of latents; more: its other arguments."""
    N, L = latents.shape

    def build(module):
        return lambda z: getattr(module, name)(z, *more)

    return Gradients(f"{name}, {what}", build, latents, sizes={
        "number of latents": N, "number of dimensions": L, "N − 1": N - 1}, **options)


def alone(name, latents, *more):
    """dloss may be left out."""
    return Case(f"{name}, backward() without an argument",
                lambda module: {"dx": getattr(module, name)(latents, *more)[1]()}, group="dx")


def cases():
    rng = np.random.default_rng(0)
    spread = np.array([0.2, 3.0, 0.5, 1.7, 0.9])       # narrow dimensions, and wide ones
    for N, L, floor, epsilon in [(12, 5, 1.0, 1e-4), (2, 3, 1.0, 1e-4), (9, 1, 4.0, 1e-4),
                                 (12, 5, 2.0, 0.3), (12, 5, 0.005, 1e-4)]:
        latents = spread[:L] * rng.standard_normal((N, L)) + 0.4
        yield penalty("variance_hinge", f"latents of shape {(N, L)}, floor = {floor:g}, "
                      f"ε = {epsilon:g}", latents, floor, epsilon)
    yield alone("variance_hinge", latents, 2.0)
