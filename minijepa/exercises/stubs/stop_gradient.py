"""The stop-gradient and the EMA update: what a JEPA does with the target branch.

    loss = mean over k of D(ŝ_k, s_k), the mean squared error;  ŝ = predict(x), s = encode_target(y)

backward: dloss, a number  ->  nothing is returned; the gradients of the parameters are added up.
`mse_backward(dloss)` gives the gradients toward both branches. Which of them may flow on depends on
self.treatment:

    "joint"      both: into the predictor and the context encoder, and into the target encoder
    "stopgrad"   the gradient toward the targets is dropped: the target branch gets none
    "ema"        dropped as well; instead the target encoder follows the context encoder

update_target, called after each optimizer step, does that following, for "ema" alone:
    target = τ·target + (1 − τ)·online        τ = self.tau, near 1: the target moves slowly
where target is self.target_encoder.value and online is self.context_encoder.value: flat vectors
into which the layers look, so the target changes in place.

Why drop a gradient that is right? Were it to flow, the easiest way to a small loss would be to move
the targets to where any prediction hits them: all to one point. That is the collapse.

The check looks at: all gradients in the three treatments (with the targets held fixed where the
gradient is stopped), and at the target encoder after some updates, again in all three.
"""

import numpy as np

import minijepa.jepa
from minijepa.losses import mse


class JEPA(minijepa.jepa.JEPA):
    def forward(self, x, y, z=None):
        predictions, predict_backward = self.predict(x, z)                     # (K, B, latent)
        targets, target_backward = self.encode_target(y)                       # (K, B, latent)
        loss, mse_backward = mse(predictions, targets)

        def backward(dloss=1):
            raise NotImplementedError("your turn")

        return loss, backward

    def update_target(self):
        raise NotImplementedError("your turn")
