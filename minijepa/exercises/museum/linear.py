import numpy as np

from minijepa.exercises.checks import B, E, K, L, T, Gradients

TITLE = "Linear: three gradients from one matrix product"
SOURCE = "minijepa.layers:Linear"
HINTS = """
Take one row first: x (in,), y (out,), and write the three derivatives from y_o = Σ_i x_i weight_oi
+ bias_o.

dx_i = Σ_o dy_o · weight_oi: that is dy times weight. dweight_oi = dy_o · x_i: the outer product of
dy and x. dbias_o = dy_o.

Each row of x used the same weight and bias, so dweight and dbias are the sums over all rows. Bring
x and dy to two dimensions first: dy.reshape(-1, dy.shape[-1]) has one row for each.

With rows of dy (N, out) and of x (N, in), the sum of the outer products is one matrix product,
rows_dy.T @ rows_x (out, in). Add it: self.weight.grad += …
"""
MISTAKES = r"""
### the bias gets the sum of all of dy, one number: each entry should get the sum of its own column
drows.sum(axis=0) => drows.sum()
### the bias gets the mean of all of dy, one number: each entry should get the sum of its own column
drows.sum(axis=0) => drows.mean()
### the bias gets the last row of dy alone, and not the sum over the rows
drows.sum(axis=0) => drows[-1]
### the bias gets the first row of dy alone, and not the sum over the rows
drows.sum(axis=0) => drows[0]
### the bias gets the largest of each column of dy, and not the sum
drows.sum(axis=0) => drows.max(axis=0)
### the bias gets the sum of |dy|
drows.sum(axis=0) => np.abs(drows).sum(axis=0)
### the bias gets the number of rows: dy is left out, which a dy of all ones does not show
drows.sum(axis=0) => len(drows)
### the bias gets 1: dy is left out
drows.sum(axis=0) => 1
### the bias gets the sum of y, the output, and not of dy
drows.sum(axis=0) => y.reshape(drows.shape).sum(axis=0)
### the bias gets dy times the bias: its own value has no part in its gradient
drows.sum(axis=0) => drows.sum(axis=0) * bias
### the bias gets the sum of the squares of dy
drows.sum(axis=0) => (drows**2).sum(axis=0)
### weight gets the product with |x|, or with x² or with x above 0: it is dyᵀ x
@ rows => @ np.abs(x).reshape(-1, x.shape[-1])
# or
@ rows => @ (x * x).reshape(-1, x.shape[-1])
# or
@ rows => @ np.maximum(x, 0).reshape(-1, x.shape[-1])
### weight gets y in the place of dy: the upstream gradient is left out
+= drows.T @ => += y.reshape(drows.shape).T @
### weight gets x in every row: dy is left out
+= drows.T @ => += np.ones_like(drows).T @
### weight gets dy in every column: x is left out
drows.T @ rows => drows.T @ np.ones_like(x).reshape(-1, x.shape[-1])
### weight gets the product of two sums (or means): the sum of products is dyᵀ x
drows.T @ rows
=> np.outer(drows.sum(axis=0), rows.sum(axis=0))
# or
drows.T @ rows
=> np.outer(drows.mean(axis=0), rows.mean(axis=0))
# or
drows.T @ rows
=> np.outer(drows.sum(axis=0), rows.mean(axis=0))
### the bias is in the weight's gradient too: bias has no part in it
@ rows => @ (rows + 1)
### weight's own value is added to its gradient, as a weight decay would
@ rows => @ rows + weight
### the weight's gradient is added twice
@ rows => @ rows * 2
### the rows of dy and x are paired wrongly: they stand in another order
drows.T @ => drows[::-1].T @
### only the last row gives its part to weight, and not the sum over all rows
drows.T @ rows => np.outer(drows[-1], rows[-1])
### only the first row gives its part to weight, and not the sum over all rows
drows.T @ rows => np.outer(drows[0], rows[0])
### weight is transposed in dx: it is dy @ weight, (..., out) times (out, in)
(drows @ weight).reshape(x.shape) => dy @ weight.T
# or
(drows @ weight).reshape(x.shape) => weight @ dy
# or
(drows @ weight).reshape(x.shape) => weight.T @ dy
# or
(drows @ weight).reshape(x.shape) => (weight.T @ dy.T).T
### only x and dy of two dimensions are provided for: bring them to rows first, dy.reshape(-1, out)
+= drows.T @ rows => += dy.T @ x
+= drows.sum(axis=0) => += dy.sum(axis=0)
# or
+= drows.T @ rows => += dy.T @ x
# or
+= drows.sum(axis=0) => += dy.sum(axis=0)
# or
+= drows.sum(axis=0) => += dy.sum(axis=(0, 1))
# or
+= drows.T @ rows => += np.outer(dy, x)
# or
+= drows.T @ rows => += np.einsum("bo,bi->oi", dy, x)
### weight's gradient is transposed, (in, out): it is (out, in), rows_dy.T @ rows_x
drows.T @ rows => rows.T @ drows
### the rows themselves are not transposed: the sum of outer products is rows_dy.T @ rows_x
drows.T @ rows => drows @ rows
# or
drows.T @ rows => drows @ rows.T
# or
drows.T @ rows => drows * rows
### the bias gets the sum over its own axis (axis 1, or −1): it is the sum over the rows, axis 0
drows.sum(axis=0) => drows.sum(axis=1)
# or
drows.sum(axis=0) => dy.sum(axis=-1)
### the bias gets all rows and not their sum
drows.sum(axis=0) => drows
# or
drows.sum(axis=0) => dy
### the bias is added to dx: it does not depend on x
(drows @ weight).reshape(x.shape) => (dy - bias) @ weight
# or
(drows @ weight).reshape(x.shape) => (dy + bias) @ weight
### y stands in the place of dy in dx
(drows @ weight).reshape(x.shape) => y @ weight
### dy is left out of dx: each row gets the sum of weight's rows
(drows @ weight).reshape(x.shape) => np.ones_like(dy) @ weight
### dx is multiplied by x: y is linear in x, so that its slope is weight alone
(drows @ weight).reshape(x.shape) => (dy @ weight) * x
### x is added to dx
(drows @ weight).reshape(x.shape) => (dy @ weight) + x
### dx is computed with the gradient of weight, and not with its value
(drows @ weight).reshape(x.shape) => dy @ self.weight.grad
### |weight| stands in the place of weight in dx
(drows @ weight).reshape(x.shape) => dy @ np.abs(weight)
### the pseudo-inverse of weight is taken: undoing the layer is not its gradient; it is dy @ weight
(drows @ weight).reshape(x.shape) => dy @ np.linalg.pinv(weight).T
# or
(drows @ weight).reshape(x.shape) => (dy - bias) @ np.linalg.pinv(weight).T
### each row of dx is the sum (or the mean) over all rows: each x has its own
(drows @ weight).reshape(x.shape) => np.broadcast_to(drows.sum(axis=0) @ weight, x.shape).copy()
# or
(drows @ weight).reshape(x.shape) => np.broadcast_to(drows.mean(axis=0) @ weight, x.shape).copy()
"""


def cases():
    rng = np.random.default_rng(0)
    for outputs, shapes in (L, [(B, E), (1, E), (B, T, E), (K, B, T, E)]), (E, [(B, E)]):
        for shape in shapes:
            square = " with as many outputs as inputs" if outputs == E else ""
            yield Gradients(f"Linear{square}, x of shape {shape}", lambda module, outputs=outputs:
                            module.Linear(E, outputs, np.random.default_rng(0), np.float64),
                            rng.standard_normal(shape))
