"""Find the bug: an Adam, finished, and wrong in one place.

    t = t + 1,   m = β₁·m + (1 − β₁)·grad,   v = β₂·v + (1 − β₂)·grad²
    m̂ = m / (1 − β₁ᵗ),   v̂ = v / (1 − β₂ᵗ),   value = value − learning_rate · m̂ / (√v̂ + ε)

`python bug7.py` takes a step, compares it with the formula, and passes. `python -m
minijepa.exercises check bug7` finds an error. Mend the optimizer with the help of what it says;
then answer: how many steps does a check of an optimizer need, at least?
"""

import numpy as np


class Adam:
    def __init__(self, value, grad, learning_rate=1e-3, betas=(0.9, 0.999), epsilon=1e-8):
        self.value, self.grad = value, grad
        self.learning_rate, self.betas, self.epsilon = learning_rate, betas, epsilon
        self.state = {"m": np.zeros_like(value), "v": np.zeros_like(value), "t": np.array(0)}

    def step(self):
        m, v, (beta1, beta2) = self.state["m"], self.state["v"], self.betas
        self.state["t"] += 1
        t = int(self.state["t"])
        m *= beta1
        m += (1 - beta1) * self.grad
        v *= beta2
        v += (1 - beta2) * self.grad**2
        m /= 1 - beta1**t
        v /= 1 - beta2**t
        self.value -= self.learning_rate * m / (np.sqrt(v) + self.epsilon)


if __name__ == "__main__":
    value, grad = np.array([1.0, 2.0, 3.0]), np.array([0.5, -0.1, 4.0])
    optimizer = Adam(value, grad, learning_rate=0.1)
    optimizer.step()
    m_hat, v_hat = grad, grad**2                       # after one step, with the correction
    wanted = np.array([1.0, 2.0, 3.0]) - 0.1 * m_hat / (np.sqrt(v_hat) + 1e-8)
    assert np.allclose(value, wanted), "naive check: failed"
    print("naive check: passed")
