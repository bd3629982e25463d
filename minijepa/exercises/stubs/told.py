"""Told: a net that is told z, beside s. The forward is given; split the gradient.

    told = tell(z)  (..., E)      both = [s, told]  (..., L + E)      y = net(both)
    backward: dy  ->  (ds (..., L), dz), where dz is what tell's own backward returns: None for ids

`net_backward` gives the gradient toward both, in one array. Two arrays were laid side by side; work
out which entries of the gradient belong to which, and which of the two goes on through `tell`.

The check looks at: ds, dz and the gradients of all parameters, for s and told of different sizes,
for further leading dimensions, and for a z of ids that go through an Embedding.
"""

import numpy as np

import minijepa.predictors


class Told(minijepa.predictors.Told):
    def forward(self, s, z):
        told, tell_backward = self.tell.forward(z)                             # (..., E)
        y, net_backward = self.net.forward(np.concatenate([s, told], axis=-1))
        L = s.shape[-1]

        def backward(dy):
            raise NotImplementedError("your turn")

        return y, backward
