"""Find the bug: a ReLU, finished, and wrong in one place.

    x (any shape)  ->  y = max(x, 0)
    backward: dy  ->  dx, where dx is 0 wherever x is not above 0

`python bug5.py` checks all entries with a random dy, and passes. `python -m minijepa.exercises
check bug5` finds an error. Mend the layer with the help of what it says; then answer: where would a
model that uses this layer go wrong, and where would it not?
"""

import numpy as np

from minijepa.gradcheck import check
from minijepa.modules import Module, expect


class ReLU(Module):
    def forward(self, x):
        self.positive = x > 0
        y = np.maximum(x, 0)

        def backward(dy):
            expect("ReLU.backward", dy, y.shape, y.dtype)
            return dy * self.positive

        return y, backward


if __name__ == "__main__":
    rng = np.random.default_rng(0)
    for gradient in check(ReLU(), rng.standard_normal((5, 7)), rng=rng):
        assert gradient.passed, "naive check: failed"
    print("naive check: passed")
