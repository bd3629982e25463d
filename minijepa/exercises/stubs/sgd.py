"""SGD with momentum: a ball that rolls.

    velocity = momentum·velocity + grad
    value    = value − learning_rate·velocity

value and grad are flat vectors: all parameters of a model, and all their gradients. velocity starts
at 0.

The model's layers look into these two vectors, so value must change in place: `self.value -= …`
or `self.value[:] = …`. After `self.value = …` the name points to a new vector that no layer knows.
What is remembered from step to step belongs in self.state, which is what a checkpoint keeps.

There is nothing to derive. See for yourself what momentum does to a gradient that stays the same:
where does the velocity go, for momentum = 0.9?

The check looks at: the values over several steps, with momentum and without, while grad and
learning_rate change between the steps; that value is still the same vector; that grad is left as it
was; and that another SGD that is given the state goes on where this one was.
"""

import numpy as np


class SGD:
    def __init__(self, value, grad, learning_rate=1e-3, momentum=0.0):
        self.value, self.grad = value, grad
        self.learning_rate, self.momentum = learning_rate, momentum
        self.state = {"velocity": np.zeros_like(value)}

    def step(self):
        raise NotImplementedError("your turn")
