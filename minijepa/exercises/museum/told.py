import numpy as np

from minijepa.exercises.checks import B, E, K, L, T, V, Gradients
from minijepa.layers import Embedding, Linear, Sequential, perceptron

TITLE = "told an action: split the gradient"
SOURCE = "minijepa.predictors:Told"
HINTS = """
The last axis of both is s first, L entries, and then told. Its gradient has the same order.

dboth = net_backward(dy); dboth[..., :L] is ds. What is left is the gradient toward told, and tell
has its own backward, which makes dz of it.
"""
MISTAKES = r"""
### told's gradient is returned as dz as it is: it should go through tell_backward
tell_backward(dboth[..., L:]) => dboth[..., L:]
### tell_backward is not called: tell's parameters get nothing, and dz is None
tell_backward(dboth[..., L:]) => None
### the two halves are exchanged: s comes first in [s, told]
return dboth[..., :L], tell_backward(dboth[..., L:])
=> E = dboth.shape[-1] - L; return dboth[..., E:], tell_backward(dboth[..., :E])
### tell_backward is given the part of s, and not that of told
tell_backward(dboth[..., L:]) => tell_backward(dboth[..., :L])
# or
tell_backward(dboth[..., L:]) => tell_backward(dboth[..., :dboth.shape[-1] - L])
### tell_backward is given dy, or the whole of dboth: only the entries from L on belong to told
tell_backward(dboth[..., L:]) => tell_backward(dy)
# or
tell_backward(dboth[..., L:]) => tell_backward(dboth)
### it is split in the middle: s has L entries, and told the rest
return dboth[..., :L], tell_backward(dboth[..., L:])
=> ds, dtold = np.split(dboth, 2, axis=-1); return ds, tell_backward(dtold)
### it is split along the first axis: [..., :L], not [:L]
return dboth[..., :L], tell_backward(dboth[..., L:]) => return dboth[:L], tell_backward(dboth[L:])
### ds is the whole of dboth: the entries from L on belong to told
return dboth[..., :L] => return dboth
### net_backward is called twice: the net's parameters get their gradient two times
return dboth[..., :L], => return net_backward(dy)[..., :L],
### dy itself is split: it goes back through the net first
dboth = net_backward(dy) => dboth = dy
### told's gradient is added to ds: s does not depend on z
return dboth[..., :L] => return dboth[..., :L] + dboth[..., L:].sum(axis=-1, keepdims=True)
### the gradient toward s is stopped: s has a gradient too
return dboth[..., :L] => return 0 * dboth[..., :L]
"""


def cases():
    def build(inputs, tell):
        def layer(module):
            rng = np.random.default_rng(0)
            return module.Told(perceptron(inputs, B, L, rng, np.float64), tell(rng))
        return layer

    rng = np.random.default_rng(0)
    s, z = rng.standard_normal((B, E)), rng.standard_normal((B, T))
    yield Gradients("Told, z as it is", build(E + T, lambda rng: Sequential()), s, z, group="")
    yield Gradients("Told, z through a Linear of as many entries as s", build(
        2 * E, lambda rng: Linear(T, E, rng, np.float64)), s, z, group="")
    s, ids = rng.standard_normal((K, B, E)), rng.integers(0, V, (K, B))
    yield Gradients("Told, ids through an Embedding", build(
        E + T, lambda rng: Embedding(V, T, rng, np.float64)), s, ids, group="")
