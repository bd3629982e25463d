"""Find the bug: a predictor that is applied again to what it has predicted; wrong in one place.

    ŝ_0 = s_x (B, L);   ŝ_k = net(ŝ_(k−1))  for k = 1 … K = self.steps
    s_x  ->  predictions ŝ_1 … ŝ_K (K, B, L)
    backward: dpredictions (K, B, L)  ->  (ds_x (B, L), None), as nothing is told here; adds to the
              gradients of the net

`python -m minijepa.exercises check bug6` finds an error, though every gradient is right. Mend it;
then think of a program in which this bug would make a gradient wrong, and how long you would look
for it.
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
            for k in reversed(range(1, self.steps)):
                dpredictions[k - 1] += backwards[k](dpredictions[k])
            return backwards[0](dpredictions[0]), None

        return np.stack(predictions), backward
