"""Predictors: what they are told besides s_x, and how K predictions come from one s_x.

A predictor's forward(s_x, z) gives all K predicted latents (K, B, L), and its backward takes their
gradients and returns (ds_x, dz); dz is None where nothing is told, or ids.
"""

import numpy as np

from minijepa.modules import Module, expect


class Told(Module):
    """A net that is told z, beside s: y = net([s, tell(z)]).

    s (..., L) and z, of which `tell` makes (..., E)  ->  y, the net's of (..., L + E); backward(dy)
    -> (ds, dz). tell: an Embedding for ids, `Sequential()` for numbers as they are.
    """

    def __init__(self, net, tell):
        self.net, self.tell = net, tell

    def forward(self, s, z):
        told, tell_backward = self.tell.forward(z)                             # (..., E)
        y, net_backward = self.net.forward(np.concatenate([s, told], axis=-1))
        L = s.shape[-1]

        def backward(dy):
            dboth = net_backward(dy)                                           # (..., L + E)
            return dboth[..., :L], tell_backward(dboth[..., L:])

        return y, backward


class Residual(Module):
    """y = s + net(s): the net need only say what changes. s and y have one shape.

    A net that is told z gives y = s + net(s, z), and backward(dy) -> (ds, dz).
    """

    def __init__(self, net):
        self.net = net

    def forward(self, s, *z):
        change, net_backward = self.net.forward(s, *z)
        expect("Residual's net", change, s.shape, s.dtype)

        def backward(dy):
            if not z:
                return dy + net_backward(dy)  # two paths from s to y: their gradients add up
            ds, dz = net_backward(dy)
            return dy + ds, dz

        return s + change, backward


class Around(Module):
    """A predictor around a net, without parameters of its own; it adds nothing to their names."""

    def __init__(self, net):
        self.net = net

    def parts(self):
        return self.net.parts()


class Rollout(Around):
    """Time: ŝ_k = net(ŝ_(k−1), z_k) from ŝ_0 = s_x; each prediction stands on the last.

    s_x (B, L), z (K, B, ...)  ->  (K, B, L). Without z, `steps` steps of ŝ_k = net(ŝ_(k−1)).
    """

    def __init__(self, net, steps=1):
        super().__init__(net)
        self.steps = steps

    def forward(self, s_x, z=None):
        s, predictions, backwards = s_x, [], []
        for told in [()] * self.steps if z is None else [(z_k,) for z_k in z]:
            s, backward = self.net.forward(s, *told)
            predictions.append(s)
            backwards.append(backward)

        def backward(dpredictions):
            ds, dz = 0, []                             # nothing comes after the last step
            for dprediction, undo in zip(dpredictions[::-1], backwards[::-1], strict=True):
                ds = undo(dprediction + ds)            # from the loss at k, and from step k + 1
                if z is not None:
                    ds, dz_k = ds
                    dz.append(dz_k)
            told_ids = z is None or dz[0] is None
            return ds, None if told_ids else np.stack(dz[::-1])

        return np.array(predictions), backward


class Each(Around):
    """Space, or alternatives: ŝ_k = net(s_x, z_k), all from s_x at once.

    s_x (B, L), z (K, B, ...)  ->  (K, B, L).
    """

    def forward(self, s_x, z):
        s = np.broadcast_to(s_x, (len(z), *s_x.shape))                         # (K, B, L)
        predictions, net_backward = self.net.forward(s, z)

        def backward(dpredictions):
            ds, dz = net_backward(dpredictions)
            return ds.sum(axis=0), dz                  # s_x has K paths to the loss

        return predictions, backward
