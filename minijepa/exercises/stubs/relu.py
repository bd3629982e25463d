"""ReLU: y = max(x, 0), entry by entry.

    x (any shape)  ->  y (the same shape)
    backward: dy, the gradient of the loss L toward y  ->  dx, the gradient of L toward x

Each y_i depends on its own x_i alone, so dx_i = dy_i · ∂y_i/∂x_i. What is ∂y_i/∂x_i where x_i is
positive, and where it is negative? At x_i = 0 it has a kink: take dx_i = 0 there.

`expect` raises a one-line error where an array has another shape or dtype than it should.

The check looks at: dx against finite differences, for several shapes and a random dy; that dx is 0
at the kink; and that neither x nor dy is written into, since others still need them. (So it is in
all exercises; and a backward only reads what its forward has saved: called again, it gives the
same.)
"""

import numpy as np

from minijepa.modules import Module, expect


class ReLU(Module):
    def forward(self, x):
        y = np.maximum(x, 0)

        def backward(dy):
            expect("ReLU.backward", dy, x.shape, x.dtype)
            raise NotImplementedError("your turn")

        return y, backward
