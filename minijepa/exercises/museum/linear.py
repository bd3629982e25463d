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
rows.sum(axis=0) => rows.sum()
### the bias gets the mean of all of dy, one number: each entry should get the sum of its own column
rows.sum(axis=0) => rows.mean()
### the bias gets the last row of dy alone, and not the sum over the rows
rows.sum(axis=0) => rows[-1]
### the bias gets the first row of dy alone, and not the sum over the rows
rows.sum(axis=0) => rows[0]
### the bias gets the largest of each column of dy, and not the sum
rows.sum(axis=0) => rows.max(axis=0)
### the bias gets the sum of |dy|
rows.sum(axis=0) => np.abs(rows).sum(axis=0)
### the bias gets the number of rows: dy is left out, which a dy of all ones does not show
rows.sum(axis=0) => len(rows)
### the bias gets 1: dy is left out
rows.sum(axis=0) => 1
### the bias gets the sum of y, the output, and not of dy
rows.sum(axis=0) => y.reshape(rows.shape).sum(axis=0)
### the bias gets dy times the bias: its own value has no part in its gradient
rows.sum(axis=0) => rows.sum(axis=0) * bias
### the bias gets the sum of the squares of dy
rows.sum(axis=0) => (rows**2).sum(axis=0)
### weight gets the product with |x|, or with x² or with x above 0: it is dyᵀ x
@ x.reshape(-1, x.shape[-1]) => @ np.abs(x).reshape(-1, x.shape[-1])
# or
@ x.reshape(-1, x.shape[-1]) => @ (x * x).reshape(-1, x.shape[-1])
# or
@ x.reshape(-1, x.shape[-1]) => @ np.maximum(x, 0).reshape(-1, x.shape[-1])
### weight gets y in the place of dy: the upstream gradient is left out
+= rows.T @ => += y.reshape(rows.shape).T @
### weight gets x in every row: dy is left out
+= rows.T @ => += np.ones_like(rows).T @
### weight gets dy in every column: x is left out
rows.T @ x.reshape(-1, x.shape[-1]) => rows.T @ np.ones_like(x).reshape(-1, x.shape[-1])
### weight gets the product of two sums (or means): the sum of products is dyᵀ x
rows.T @ x.reshape(-1, x.shape[-1])
=> np.outer(rows.sum(axis=0), x.reshape(-1, x.shape[-1]).sum(axis=0))
# or
rows.T @ x.reshape(-1, x.shape[-1])
=> np.outer(rows.mean(axis=0), x.reshape(-1, x.shape[-1]).mean(axis=0))
# or
rows.T @ x.reshape(-1, x.shape[-1])
=> np.outer(rows.sum(axis=0), x.reshape(-1, x.shape[-1]).mean(axis=0))
### the bias is in the weight's gradient too: bias has no part in it
@ x.reshape(-1, x.shape[-1]) => @ (x.reshape(-1, x.shape[-1]) + 1)
### weight's own value is added to its gradient, as a weight decay would
@ x.reshape(-1, x.shape[-1]) => @ x.reshape(-1, x.shape[-1]) + weight
### the weight's gradient is added twice
@ x.reshape(-1, x.shape[-1]) => @ x.reshape(-1, x.shape[-1]) * 2
### the rows of dy and x are paired wrongly: they stand in another order
rows.T @ => rows[::-1].T @
### only the last row gives its part to weight, and not the sum over all rows
rows.T @ x.reshape(-1, x.shape[-1]) => np.outer(rows[-1], x.reshape(-1, x.shape[-1])[-1])
### only the first row gives its part to weight, and not the sum over all rows
rows.T @ x.reshape(-1, x.shape[-1]) => np.outer(rows[0], x.reshape(-1, x.shape[-1])[0])
### weight is transposed in dx: it is dy @ weight, (..., out) times (out, in)
dy @ weight => dy @ weight.T
# or
dy @ weight => weight @ dy
# or
dy @ weight => weight.T @ dy
# or
dy @ weight => (weight.T @ dy.T).T
### only x and dy of two dimensions are provided for: bring them to rows first, dy.reshape(-1, out)
+= rows.T @ x.reshape(-1, x.shape[-1]) => += dy.T @ x
+= rows.sum(axis=0) => += dy.sum(axis=0)
# or
+= rows.T @ x.reshape(-1, x.shape[-1]) => += dy.T @ x
# or
+= rows.sum(axis=0) => += dy.sum(axis=0)
# or
+= rows.sum(axis=0) => += dy.sum(axis=(0, 1))
# or
+= rows.T @ x.reshape(-1, x.shape[-1]) => += np.outer(dy, x)
# or
+= rows.T @ x.reshape(-1, x.shape[-1]) => += np.einsum("bo,bi->oi", dy, x)
### weight's gradient is transposed, (in, out): it is (out, in), rows_dy.T @ rows_x
rows.T @ x.reshape(-1, x.shape[-1]) => x.reshape(-1, x.shape[-1]).T @ rows
### the rows themselves are not transposed: the sum of outer products is rows_dy.T @ rows_x
rows.T @ x.reshape(-1, x.shape[-1]) => rows @ x.reshape(-1, x.shape[-1])
# or
rows.T @ x.reshape(-1, x.shape[-1]) => rows @ x.reshape(-1, x.shape[-1]).T
# or
rows.T @ x.reshape(-1, x.shape[-1]) => rows * x.reshape(-1, x.shape[-1])
### the bias gets the sum over its own axis (axis 1, or −1): it is the sum over the rows, axis 0
rows.sum(axis=0) => rows.sum(axis=1)
# or
rows.sum(axis=0) => dy.sum(axis=-1)
### the bias gets all rows and not their sum
rows.sum(axis=0) => rows
# or
rows.sum(axis=0) => dy
### the bias is added to dx: it does not depend on x
dy @ weight => (dy - bias) @ weight
# or
dy @ weight => (dy + bias) @ weight
### y stands in the place of dy in dx
dy @ weight => y @ weight
### dy is left out of dx: each row gets the sum of weight's rows
dy @ weight => np.ones_like(dy) @ weight
### dx is multiplied by x: y is linear in x, so that its slope is weight alone
dy @ weight => (dy @ weight) * x
### x is added to dx
dy @ weight => (dy @ weight) + x
### dx is computed with the gradient of weight, and not with its value
dy @ weight => dy @ self.weight.grad
### |weight| stands in the place of weight in dx
dy @ weight => dy @ np.abs(weight)
### the pseudo-inverse of weight is taken: undoing the layer is not its gradient; it is dy @ weight
dy @ weight => dy @ np.linalg.pinv(weight).T
# or
dy @ weight => (dy - bias) @ np.linalg.pinv(weight).T
### each row of dx is the sum (or the mean) over all rows: each x has its own
dy @ weight => np.broadcast_to(rows.sum(axis=0) @ weight, x.shape).copy()
# or
dy @ weight => np.broadcast_to(rows.mean(axis=0) @ weight, x.shape).copy()
"""


def cases():
    rng = np.random.default_rng(0)
    for outputs, shapes in (L, [(B, E), (1, E), (B, T, E), (K, B, T, E)]), (E, [(B, E)]):
        for shape in shapes:
            square = " with as many outputs as inputs" if outputs == E else ""
            yield Gradients(f"Linear{square}, x of shape {shape}", lambda module, outputs=outputs:
                            module.Linear(E, outputs, np.random.default_rng(0), np.float64),
                            rng.standard_normal(shape))
