import numpy as np

from minijepa.exercises.checks import B, E, K, L, Gradients
from minijepa.layers import Linear, ReLU, perceptron

TITLE = "Sequential: the chain rule is a reversed loop"
SOURCE = "minijepa.layers:Sequential"
HINTS = """
dy is the gradient of the output of the last layer. Whose backward wants just that?

What the last layer's backward returns is the gradient of its input: the output of the layer before
it. Give it to that layer's backward, and so on.

for undo in reversed(backwards): dy = undo(dy). Then return what is left: with no layer at all that
is dy.
"""
MISTAKES = r"""
### the backwards are called in the order of the layers: the last layer must come first
reversed(backwards) => backwards
### only the last layer's backward is called
reversed(backwards) => backwards[-1:]
# or
dy = undo(dy) => return undo(dy)
### only the first layer's backward is called
reversed(backwards) => backwards[:1]
### the last layer is left out
reversed(backwards) => backwards[-2::-1]
### the first layer is left out
reversed(backwards) => backwards[:0:-1]
### no backward is called
reversed(backwards) => ()
### the first and the last layer are left out
reversed(backwards) => backwards[-2:0:-1]
### every second layer is left out: the step of the loop is 2
reversed(backwards) => backwards[::-2]
### every backward is given dy, and not what the one before it returned
return [undo(dy) for undo in reversed(backwards)][-1]
# or
return [undo(dy) for undo in reversed(backwards)][0]
### what the backwards return is thrown away: dy is returned as it came, and each is given that
dy = undo(dy) => undo(dy)
### what the backwards return is added up: they follow one another
return sum(undo(dy) for undo in reversed(backwards))
### the gradients of all layers' inputs are added up: dx is that of the first layer's input alone
dx, dy = 0, dy
for undo in reversed(backwards):
    dy = undo(dy); dx = dx + dy
return dx
### a layer that stands in two places is undone only once: it has a backward for each of its uses
done = set()
for layer, undo in zip(self.layers[::-1], backwards[::-1]):
    dy = undo(dy) if layer not in done else dy
    done.add(layer)
return dy
### the gradient is added to what comes out, as around a residual: dy = dy + undo(dy)
dy = undo(dy) => dy = dy + undo(dy)
### each backward is called twice: its parameters get twice their gradient
dy = undo(dy) => undo(dy); dy = undo(dy)
### one layer's backward is used for all of them: each forward has returned its own
dy = undo(dy) => dy = backwards[-1](dy)
# or
dy = undo(dy) => dy = backwards[0](dy)
"""


def cases():
    def build(*parts):
        return lambda module: module.Sequential(*parts)

    rng = np.random.default_rng(0)
    shared = Linear(E, E, rng, np.float64)
    for what, parts in {
        "one layer": [Linear(E, L, rng, np.float64)],
        "three layers of the same width": [Linear(E, E, rng, np.float64) for _ in range(3)],
        "Linear, ReLU, Linear of the same width": perceptron(E, E, E, rng, np.float64).layers,
        "Linear, ReLU, Linear, ReLU, Linear": [*perceptron(E, B, L, rng, np.float64).layers,
                                               ReLU(), Linear(L, K, rng, np.float64)],
        "the same layer in two places": [shared, ReLU(), shared],
        "no layer at all: the output is the input": [],
    }.items():
        x = rng.standard_normal((B, E))
        yield Gradients(f"Sequential, {what}", build(*parts), x, group="", twice=False)
