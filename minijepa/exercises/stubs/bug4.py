"""Find the bug: a mean over the tokens that are there, finished, and wrong in one place.

    x (B, T, E), mask (B, T) of booleans, False at padding  ->  y (B, E)
    y = Σ_t mask_t·x_t / Σ_t mask_t
    backward: dy (B, E)  ->  dx (B, T, E)

`python bug4.py` runs the check below, and it passes: a whole gradient takes long, so it looks at
one entry, drawn at random. `python -m minijepa.exercises check bug4` finds an error. Mend the layer
with the help of what it says; then answer: how likely was the check below to miss it?
"""

import numpy as np

from minijepa.gradcheck import central_difference
from minijepa.modules import Module, expect


class Mean(Module):
    def forward(self, x, mask=None):
        if mask is None:
            mask = np.ones(x.shape[:2], bool)
        expect("Mean's mask", mask, x.shape[:2], bool)
        count = mask.sum(axis=1, dtype=x.dtype)[:, None]                       # (B, 1)
        y = (x * mask[:, :, None]).sum(axis=1) / count                         # (B, E)

        def backward(dy):
            expect("Mean.backward", dy, y.shape, x.dtype)
            dx = np.empty_like(x)                                              # (B, T, E)
            dx[:] = (dy / count)[:, None, :]
            return dx

        return y, backward


if __name__ == "__main__":
    rng = np.random.default_rng(0)
    layer, x, dy = Mean(), rng.standard_normal((4, 5, 3)), rng.standard_normal((4, 3))
    mask = np.arange(5) < np.array([5, 4, 5, 3])[:, None]                      # (B, T)

    def loss():
        return np.sum(layer.forward(x, mask)[0] * dy)

    y, backward = layer.forward(x, mask)
    dx = backward(dy)
    index = tuple(rng.integers(x.shape))               # one random entry
    assert np.isclose(dx[index], central_difference(loss, x, index)), "naive check: failed"
    print("naive check: passed")
