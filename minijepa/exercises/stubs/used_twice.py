"""A layer used more than once: the predictor is applied again to what it has predicted.

    ŝ_0 = s_x (B, L);   ŝ_k = net(ŝ_(k−1))  for k = 1 … K = self.steps
    s_x  ->  predictions ŝ_1 … ŝ_K (K, B, L)
    backward: dpredictions (K, B, L), the gradient toward each ŝ_k  ->  (ds_x (B, L), None);
              the gradients of the net are added up by its own backward. None, since the predictor
              is told nothing here: z, which would have a gradient too, is for other worlds

The loss sees ŝ_k in two ways: directly (that is dpredictions[k − 1]), and through ŝ_(k+1), which
was computed from it. A value with several paths to the loss has the sum of their gradients. Which
ŝ_k has one path only? Begin there.

The net's parameters have K paths too, but its backward adds with `+=`: call each of the K backwards
once, and their gradients add up by themselves.

The check looks at: ds_x and the gradients of the net, for K = 1, 2 and 3; and that dpredictions is
not written into.
"""

import numpy as np

import minijepa.predictors


class Rollout(minijepa.predictors.Rollout):
    def forward(self, s_x, z=None):
        s, predictions, backwards = s_x, [], []
        for _ in range(self.steps):
            s, backward = self.net.forward(s)
            predictions.append(s)
            backwards.append(backward)

        def backward(dpredictions):
            raise NotImplementedError("your turn")

        return np.stack(predictions), backward
