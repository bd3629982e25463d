"""Linear: y = x weightᵀ + bias, for each row of x.

    x (..., in)  ->  y (..., out);  weight (out, in), bias (out,)
    `...` stands for any leading dimensions: (B, in), (B, T, in), (K, B, T, in)
    backward: dy (..., out)  ->  dx (..., in), returned;
              dweight (out, in) added to self.weight.grad, dbias (out,) added to self.bias.grad

For one row, y_o = Σ_i x_i weight_oi + bias_o. Derive from it
    dx_i        = Σ_o  dy_o · ∂y_o/∂x_i
    dweight_oi  =      dy_o · ∂y_o/∂weight_oi        (and then: the sum over all rows)
    dbias_o     =      dy_o · ∂y_o/∂bias_o           (and then: the sum over all rows)
and write each as one matrix product or one sum. The shapes leave little choice: use them to check
yourself. Nothing is divided by the number of rows: the mean, if there is one, lives in the loss.

The check looks at: all three gradients, for one row and for many, with and without further leading
dimensions; that a second call adds to the gradients (`+=`); that x and dy are left as they were;
and that backward only reads what forward has saved, so that it may be called again.
"""

import numpy as np

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
            raise NotImplementedError("your turn")

        return y, backward
