"""Mean: the mean over the tokens that are there, y = Σ_t mask_t·x_t / Σ_t mask_t.

    x (B, T, E), mask (B, T) of booleans  ->  y (B, E)
    backward: dy (B, E)  ->  dx (B, T, E)

Sentences of a batch have different lengths: the shorter ones are padded up to T tokens, and mask is
False where there is only padding. What stands there must not change y, so what is its gradient?

Derive dx_bte for one sentence b: y_be is a weighted sum of x_b1e … x_bTe. What is the weight of
each? (In the code the weights are called `share`; they are 1/count or 0.)

The check looks at: dx without a mask and with one, for sentences of different lengths, for a batch
of one and for one token; that dx is exactly 0 at padding; and that x, mask and dy are left as they
were.
"""

import numpy as np

from minijepa.modules import Module, expect


class Mean(Module):
    def forward(self, x, mask=None):
        if mask is None:
            mask = np.ones(x.shape[:2], bool)
        expect("Mean's mask", mask, x.shape[:2], bool)
        count = mask.sum(axis=1, dtype=x.dtype)[:, None]                       # (B, 1)
        share = (mask / count)[:, :, None]                                     # (B, T, 1)
        y = (x * share).sum(axis=1)                                            # (B, E)

        def backward(dy):
            expect("Mean.backward", dy, y.shape, x.dtype)
            raise NotImplementedError("your turn")

        return y, backward
