"""Find the bug: an Embedding, finished, and wrong in one place.

    ids (...) integers  ->  y = weight[ids] (..., E);  weight (V, E)
    backward: dy (..., E)  ->  nothing is returned; adds to self.weight.grad

`python bug3.py` runs the check below, and it passes. `python -m minijepa.exercises check bug3`
finds an error. Mend the layer with the help of what it says; then answer: why can the check below
not see it?
"""

import numpy as np

from minijepa.gradcheck import numeric_gradient
from minijepa.modules import Module, Parameter, expect


class Embedding(Module):
    def __init__(self, vocab_size, embed_dim, rng, dtype=np.float32):
        self.weight = Parameter(rng.standard_normal((vocab_size, embed_dim)).astype(dtype))

    def forward(self, ids):
        weight, ids = self.weight.value, np.asarray(ids)
        y = weight[ids]                                                        # (..., E)

        def backward(dy):
            expect("Embedding.backward", dy, y.shape, weight.dtype)
            self.weight.grad[ids] += dy                                        # (..., E)

        return y, backward


if __name__ == "__main__":
    rng = np.random.default_rng(0)
    layer, ids = Embedding(9, 3, rng, np.float64), np.array([[4, 0, 7], [2, 8, 1]])
    dy = rng.standard_normal((2, 3, 3))

    def loss():
        return np.sum(layer.forward(ids)[0] * dy)

    y, backward = layer.forward(ids)
    backward(dy)
    numeric = numeric_gradient(loss, layer.weight.value)
    assert np.allclose(layer.weight.grad, numeric), "naive check: failed"
    print("naive check: passed")
