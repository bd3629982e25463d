"""SGD and Adam: arithmetic on two flat vectors, the values and their gradients.

The updates are PyTorch's to the letter: the same start and the same gradients give the same
trajectory. What an optimizer remembers between steps is in `state`, which checkpoints keep.
"""

import numpy as np


class SGD:
    """velocity = momentum·velocity + grad;  value = value − learning_rate·velocity."""

    def __init__(self, value, grad, learning_rate=1e-3, momentum=0.0):
        self.value, self.grad = value, grad
        self.learning_rate, self.momentum = learning_rate, momentum
        self.state = {"velocity": np.zeros_like(value)}

    def step(self):
        velocity = self.state["velocity"]
        velocity *= self.momentum
        velocity += self.grad
        self.value -= self.learning_rate * velocity


class Adam:
    """Adam (Kingma & Ba 2015), with bias correction.

    m = β₁m + (1 − β₁)·grad and v = β₂v + (1 − β₂)·grad² start at 0, hence too small;
    m̂ = m / (1 − β₁ᵗ) and v̂ = v / (1 − β₂ᵗ) are not; value = value − learning_rate·m̂ / (√v̂ + ε).
    """

    def __init__(self, value, grad, learning_rate=1e-3, betas=(0.9, 0.999), epsilon=1e-8):
        self.value, self.grad = value, grad
        self.learning_rate, self.betas, self.epsilon = learning_rate, betas, epsilon
        self.state = {"m": np.zeros_like(value), "v": np.zeros_like(value), "t": np.array(0)}

    def step(self):
        self.state["t"] += 1
        t = int(self.state["t"])
        beta1, beta2 = self.betas
        m_scale, v_scale = 1 - beta1**t, 1 - beta2**t
        for block in blocks(len(self.value)):
            value, grad = self.value[block], self.grad[block]
            m, v = self.state["m"][block], self.state["v"][block]
            m *= beta1
            m += (1 - beta1) * grad
            v *= beta2
            v += (1 - beta2) * grad**2
            # m̂ / (√v̂ + ε), with the two corrections taken out of the vectors' arithmetic
            value -= self.learning_rate / m_scale * m / (np.sqrt(v) / v_scale**0.5 + self.epsilon)


def blocks(size, block=2**14):
    """Slices of a long vector: what is worked on, a dozen times over, stays in the cache."""
    return (slice(start, start + block) for start in range(0, size, block))
