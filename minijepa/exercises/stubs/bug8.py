"""Find the bug: a JEPA's target branch, finished, and wrong in one place.

    joint      the gradient flows into both branches
    stopgrad   the gradient toward the targets is dropped
    ema        dropped as well; after each optimizer step the target encoder moves a little toward
               the context encoder:  target = τ·target + (1 − τ)·online,  τ = self.tau = 0.99, say

`python -m minijepa.exercises check bug8` finds an error. Mend it; then answer: the model learns
nearly as well with the bug as without it. What is the target encoder, then, and what was it meant
to be?
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
            dpredictions, dtargets = mse_backward(dloss)
            predict_backward(dpredictions)
            if self.treatment == "joint":
                target_backward(dtargets)

        return loss, backward

    def update_target(self):
        if self.treatment == "ema":
            target, online, tau = self.target_encoder.value, self.context_encoder.value, self.tau
            target += tau * (online - target)
