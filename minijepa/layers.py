"""The layers. Each forward returns its output and its backward, from dy to dx.

B is the batch, T the tokens of a sentence, V the words of the vocabulary, E the features.
Starting values are PyTorch's, drawn from the NumPy generator that is passed in.
"""

import numpy as np

from minijepa.modules import Module, Parameter, expect


class Embedding(Module):
    """A table with one row of features for each word: y = weight[ids].

    ids (...) integers from 0 to V − 1  ->  y (..., E); weight (V, E) starts as N(0, 1).
    An id that occurs several times adds up several rows of dy.
    Raises TypeError for ids that are not integers, IndexError for ids outside the table.
    """

    def __init__(self, vocab_size, embed_dim, rng, dtype=np.float32):
        self.weight = Parameter(rng.standard_normal((vocab_size, embed_dim)).astype(dtype))
        self.number = np.arange(vocab_size * embed_dim).reshape(vocab_size, embed_dim)

    def forward(self, ids):
        weight, ids = self.weight.value, np.asarray(ids)
        if ids.dtype.kind not in "iu":
            raise TypeError(f"Embedding: wanted integer ids, was given {ids.dtype}")
        if ids.size and (ids.min() < 0 or ids.max() >= len(weight)):
            raise IndexError(f"Embedding: wanted ids from 0 to {len(weight) - 1}, "
                             f"was given ids from {ids.min()} to {ids.max()}")
        y = weight.take(ids, axis=0)                   # weight[ids]: (..., E)

        def backward(dy):
            expect("Embedding.backward", dy, y.shape, weight.dtype)
            # dweight[i] = sum of dy over every place where ids == i: a scatter-add.
            # Repeated ids add up in np.add.at, which is several times faster on one axis than on
            # rows: entry (i, e) of the table has the number i·E + e in the flat table.
            entries = self.number.take(ids, axis=0)                            # (..., E)
            np.add.at(self.weight.grad.reshape(-1), entries.reshape(-1), dy.reshape(-1))

        return y, backward


class Linear(Module):
    """y = x weightᵀ + bias.

    x (..., in)  ->  y (..., out), with any number of leading dimensions;
    weight (out, in) and bias (out,) start uniform in ±1/√in. Where x is data (`reads_data`), no one
    asks for its gradient: dx, a third of the layer's work, is left out, and is None.
    Raises ValueError or TypeError for another shape or dtype.
    """

    def __init__(self, in_features, out_features, rng, dtype=np.float32, reads_data=False):
        bound, self.reads_data = 1 / np.sqrt(in_features), reads_data

        def uniform(*shape):
            return Parameter(rng.uniform(-bound, bound, shape).astype(dtype))

        self.weight, self.bias = uniform(out_features, in_features), uniform(out_features)

    def forward(self, x):
        weight, bias = self.weight.value, self.bias.value
        expect("Linear", x, (..., weight.shape[1]), weight.dtype)
        rows = x.reshape(-1, x.shape[-1])                                      # (N, in)
        y = rows @ weight.T                                                    # (N, out)
        y += bias
        y = y.reshape(*x.shape[:-1], len(bias))                                # (..., out)

        def backward(dy):
            expect("Linear.backward", dy, y.shape, weight.dtype)
            drows = dy.reshape(-1, dy.shape[-1])                               # (N, out)
            self.weight.grad += drows.T @ rows                                 # (out, in)
            self.bias.grad += drows.sum(axis=0)                                # (out,)
            if not self.reads_data:
                return (drows @ weight).reshape(x.shape)                       # (..., in)

        return y, backward


class ReLU(Module):
    """y = max(x, 0), entry by entry; x of any shape. At the kink, x = 0, dx is taken as 0."""

    def forward(self, x):
        y = np.maximum(x, 0, dtype=x.dtype)

        def backward(dy):
            expect("ReLU.backward", dy, x.shape, x.dtype)
            return dy * (x > 0)

        return y, backward


class Mean(Module):
    """The mean over the tokens that are there: y = Σ_t mask·x / Σ_t mask.

    x (B, T, E), mask (B, T) of booleans, False where a shorter sentence is padded  ->  y (B, E).
    Without a mask every token counts. Raises ValueError for a sentence without any token, or
    for another shape.
    """

    def forward(self, x, mask=None):
        if x.ndim != 3:
            raise ValueError(f"Mean: wanted shape (B, T, E), was given {x.shape}")
        if mask is None:
            mask = np.ones(x.shape[:2], bool)
        expect("Mean's mask", mask, x.shape[:2], bool)
        count = mask.sum(axis=1, dtype=x.dtype)[:, None]                       # (B, 1)
        if not count.all():
            raise ValueError("Mean: wanted at least one token in each sentence, was given none")
        share = (mask / count)[:, :, None]                                     # (B, T, 1)
        y = (share.swapaxes(1, 2) @ x)[:, 0, :]                                # Σ_t share·x: (B, E)

        def backward(dy):
            expect("Mean.backward", dy, y.shape, x.dtype)
            return share * dy[:, None, :]                                      # (B, T, E)

        return y, backward


class Sequential(Module):
    """Layers one after the other, named "0", "1", …: the chain rule is the reversed loop."""

    def __init__(self, *layers):
        self.layers = layers

    def parts(self):
        return {str(index): layer for index, layer in enumerate(self.layers)}

    def forward(self, x):
        backwards = []
        for layer in self.layers:
            x, backward = layer.forward(x)
            backwards.append(backward)

        def backward(dy):
            for undo in reversed(backwards):
                dy = undo(dy)
            return dy

        return x, backward


def perceptron(inputs, hidden, outputs, rng, dtype=np.float32, reads_data=False):
    """Linear, ReLU, Linear: (..., inputs) -> (..., outputs), of which every model is made."""
    return Sequential(
        Linear(inputs, hidden, rng, dtype, reads_data),
        ReLU(),
        Linear(hidden, outputs, rng, dtype),
    )
