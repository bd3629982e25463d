import numpy as np

from minijepa.exercises.checks import B, E, K, T, V, Gradients

TITLE = "Embedding: a word that occurs twice"
SOURCE = "minijepa.layers:Embedding"
HINTS = """
Row v of the table appears in y wherever ids == v. Each of these places sends a gradient back to the
same row.

So dweight_v is the sum of dy over the places where ids == v, and 0 for a word that does not occur.

self.weight.grad[ids] += dy reads each row once, adds, and writes once: of two places with the same
id only one is left. It needs an addition that happens for each place.

A loop over all places does it, `for place in np.ndindex(ids.shape)`; so does np.add.at(array, ids,
values).
"""
ADD = "np.add.at(self.weight.grad.reshape(-1), entries.reshape(-1), dy.reshape(-1))"
MISTAKES = r"""
### repeated ids overwrite each other where they should add up: grad[ids] += dy and
### grad[ids] = dy keep the last only
ADD => self.weight.grad[ids] += dy
### repeated ids overwrite each other where they should add up: only the first place of each id is
### kept, as np.unique does
ADD => self.weight.grad[ids.ravel()[::-1]] += dy.reshape(-1, dy.shape[-1])[::-1]
### a word that occurs several times gets the mean of its places, and should get their sum
ADD
=> np.add.at(self.weight.grad, ids, dy / np.bincount(ids.ravel(), minlength=len(\
weight))[ids][..., None])
### a word's sum is multiplied by how often it occurs: it is counted twice over
ADD
=> np.add.at(self.weight.grad, ids, dy * np.bincount(ids.ravel(), minlength=len(\
weight))[ids][..., None])
### a word gets the largest dy of its places, and not their sum
ADD
=> grad = np.full_like(weight, -np.inf); np.maximum.at(grad, ids, dy); self.weight.grad +=\
 np.where(grad > -np.inf, grad, 0)
### it is divided by the number of words: the sum over the places is asked, and no mean
ADD => np.add.at(self.weight.grad, ids, dy / ids.size)
### it is divided by the batch: the sum over the places is asked, and no mean
ADD => np.add.at(self.weight.grad, ids, dy / len(ids))
### the word's own row is multiplied in: y is a copy of the row, so its slope is 1
ADD => np.add.at(self.weight.grad, ids, dy * y)
### y stands in the place of dy: the rows themselves are added
ADD => np.add.at(self.weight.grad, ids, y)
### the places are counted: dy is left out
ADD => np.add.at(self.weight.grad, ids, np.ones_like(dy))
### the sum over all of dy goes to every row that occurs: each has its own places
ADD => self.weight.grad[ids] += dy.reshape(-1, dy.shape[-1]).sum(axis=0)
### every row of the table gets the sum of dy, also the words that do not occur
ADD => self.weight.grad += dy.reshape(-1, dy.shape[-1]).sum(axis=0)
### the first sentence (or word) alone is used: all places count
ADD => np.add.at(self.weight.grad, ids[:1], dy[:1])
### the last sentence (or word) alone is used: all places count
ADD => np.add.at(self.weight.grad, ids[-1:], dy[-1:])
### the first (or last) sentence is left out
ADD => np.add.at(self.weight.grad, ids[1:], dy[1:])
# or
ADD => np.add.at(self.weight.grad, ids[:-1], dy[:-1])
### the last word of each sentence is left out
ADD => np.add.at(self.weight.grad, ids[..., :-1], dy[..., :-1, :])
### the ids are off by one: word v's gradient goes to row v + 1 or v − 1
ADD => np.add.at(self.weight.grad, (ids + 1) % len(weight), dy)
# or
ADD => np.add.at(self.weight.grad, ids - 1, dy)
# or
ADD => np.add.at(self.weight.grad, np.minimum(ids + 1, len(weight) - 1), dy)
# or
ADD => np.add.at(self.weight.grad, np.maximum(ids - 1, 0), dy)
### word 0 gets no gradient: it is a word as any other here, not padding
ADD => np.add.at(self.weight.grad, ids, dy * (ids != 0)[..., None])
### the order of the places is mixed up: those of dy are read from the other end than the ids
ADD => np.add.at(self.weight.grad, ids.ravel(), dy.reshape(-1, dy.shape[-1])[::-1])
### only one feature of each row gets its gradient: entry e of the row belongs to entry e of dy
ADD => np.add.at(self.weight.grad[:, 0], ids, dy[..., 0])
# or
ADD => np.add.at(self.weight.grad[:, 0], ids, dy.sum(axis=-1))
### all features of a row get the same: the sum or the mean of its dy
ADD => np.add.at(self.weight.grad, ids, dy.sum(axis=-1, keepdims=True) + 0 * dy)
# or
ADD => np.add.at(self.weight.grad, ids, dy.mean(axis=-1, keepdims=True) + 0 * dy)
### the gradient is subtracted, as an optimizer would: here it is only added up
ADD => np.subtract.at(self.weight.grad, ids, dy)
""".replace("ADD", ADD)


def cases():
    rng = np.random.default_rng(0)
    for what, ids in {
        "ids of which some occur several times": np.array([[1, 4, 1], [0, 1, 6]]),
        "ids that all differ": np.array([4, 0, 6, 2]),
        "one id": np.array([3]),
        "ids of three dimensions": rng.integers(0, V, (K, B, T)),
        "ids that are all the same": np.full((2, 3), 5),
    }.items():
        yield Gradients(f"Embedding, {what}, of shape {ids.shape}", lambda module: module.Embedding(
            V, E, np.random.default_rng(0), np.float64), ids)
