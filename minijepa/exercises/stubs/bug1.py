"""Find the bug: a Linear layer, finished, and wrong in one place.

    x (..., in)  ->  y = x weightᵀ + bias (..., out);  weight (out, in), bias (out,)
    backward: dy (..., out)  ->  dx (..., in); adds to self.weight.grad and self.bias.grad

`python bug1.py` runs the check below, and it passes. `python -m minijepa.exercises check bug1`
finds an error. Mend the layer with the help of what it says; then answer the question that this
exercise is about: why can the check below not see it, and what is the least change that would make
it see?
"""

import numpy as np

from minijepa.gradcheck import numeric_gradient
from minijepa.modules import Module, Parameter, expect


class Linear(Module):
    def __init__(self, in_features, out_features, rng, dtype=np.float32):
        bound = 1 / np.sqrt(in_features)
        self.weight = Parameter(
            rng.uniform(-bound, bound, (out_features, in_features)).astype(dtype))
        self.bias = Parameter(rng.uniform(-bound, bound, out_features).astype(dtype))

    def forward(self, x):
        weight, bias = self.weight.value, self.bias.value
        expect("Linear", x, (..., weight.shape[1]), weight.dtype)
        y = x @ weight.T + bias                                                # (..., out)

        def backward(dy):
            expect("Linear.backward", dy, y.shape, weight.dtype)
            rows = dy.reshape(-1, dy.shape[-1])                                # (N, out)
            self.weight.grad += rows.T @ x.reshape(-1, x.shape[-1])            # (out, in)
            self.bias.grad += len(rows)                                        # (out,)
            return dy @ weight                                                 # (..., in)

        return y, backward


if __name__ == "__main__":
    rng = np.random.default_rng(0)
    layer, x = Linear(4, 3, rng, np.float64), rng.standard_normal((5, 4))

    def loss():
        return layer.forward(x)[0].sum()

    y, backward = layer.forward(x)
    dx = backward(np.ones_like(y))                     # the gradient of a sum: all ones
    assert np.allclose(dx, numeric_gradient(loss, x)), "naive check: failed"
    for parameter in layer.weight, layer.bias:
        numeric = numeric_gradient(loss, parameter.value)
        assert np.allclose(parameter.grad, numeric), "naive check: failed"
    print("naive check: passed")
