"""Embedding: a table with one row of features for each word, y = weight[ids].

    ids (...) integers from 0 to V − 1  ->  y (..., E);  weight (V, E)
    backward: dy (..., E)  ->  nothing is returned (ids are whole numbers: they have no gradient);
              dweight (V, E) added to self.weight.grad

Row v of the table is copied to every place of the sentence where ids == v. Derive dweight_v: how
does the loss change when row v moves, if the word v stands in three places? In none?

A word that occurs twice is the rule, not the exception: "the cat climbed the tree". Try in NumPy
what `a[[0, 0]] += 1` does to a[0], before you trust it.

The check looks at: dweight where all ids differ and where they repeat, for ids of one, two and
three dimensions; that words that do not occur get 0; and that a second call adds to the gradient.
"""

import numpy as np

from minijepa.modules import Module, Parameter, expect


class Embedding(Module):
    def __init__(self, vocab_size, embed_dim, rng, dtype=np.float32):
        self.weight = Parameter(rng.standard_normal((vocab_size, embed_dim)).astype(dtype))

    def forward(self, ids):
        weight, ids = self.weight.value, np.asarray(ids)
        y = weight[ids]                                                        # (..., E)

        def backward(dy):
            expect("Embedding.backward", dy, y.shape, weight.dtype)
            raise NotImplementedError("your turn")

        return y, backward
