"""Rollout with actions: ŝ_k = net(ŝ_(k−1), z_k), each prediction from the last and what is told.

    s_x (B, L), z (K, B, A)  ->  predictions ŝ_1 … ŝ_K (K, B, L)
    backward: dpredictions (K, B, L)  ->  (ds_x (B, L), dz (K, B, A))

As in `used_twice`, the last step is undone first, and ŝ_k has two paths to the loss. New is that
each step's backward now returns two gradients, toward ŝ_(k−1) and toward z_k: the one goes on to
the step before, the other is kept. In which order do the dz_k come, and in which should they stand?

The check looks at: ds_x, dz and the gradients of the net, for one step and for several.
"""

import numpy as np

import minijepa.predictors


class Rollout(minijepa.predictors.Rollout):
    def forward(self, s_x, z):
        s, predictions, backwards = s_x, [], []
        for z_k in z:
            s, backward = self.net.forward(s, z_k)
            predictions.append(s)
            backwards.append(backward)

        def backward(dpredictions):
            raise NotImplementedError("your turn")

        return np.stack(predictions), backward
