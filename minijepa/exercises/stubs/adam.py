"""Adam with bias correction (Kingma & Ba 2015): each entry has a step size of its own.

    t = t + 1                                      the number of this step: 1 in the first
    m = β₁·m + (1 − β₁)·grad                       the gradient, averaged over some 1/(1 − β₁) steps
    v = β₂·v + (1 − β₂)·grad²                      its square, averaged over some 1/(1 − β₂) steps
    m̂ = m / (1 − β₁ᵗ),  v̂ = v / (1 − β₂ᵗ)          the bias correction
    value = value − learning_rate · m̂ / (√v̂ + ε)

m and v start at 0, so early on they are too small. Derive by how much: let grad be the same g in
every step, write out m after 1, 2 and t steps, and see that m̂ = g. How long is the very first step
of each entry, then, whatever its gradient is?

As in SGD: value changes in place; what is remembered belongs in self.state ("m", "v" and "t", a
NumPy array of no dimensions that can be counted up with `+= 1`); m̂ and v̂ are for this step alone.

The check looks at: the values over several steps, for several β and ε, with gradients from tiny to
large; that value is still the same vector; that grad is left as it was; and that another Adam that
is given the state goes on where this one was.
"""

import numpy as np


class Adam:
    def __init__(self, value, grad, learning_rate=1e-3, betas=(0.9, 0.999), epsilon=1e-8):
        self.value, self.grad = value, grad
        self.learning_rate, self.betas, self.epsilon = learning_rate, betas, epsilon
        self.state = {"m": np.zeros_like(value), "v": np.zeros_like(value), "t": np.array(0)}

    def step(self):
        raise NotImplementedError("your turn")
