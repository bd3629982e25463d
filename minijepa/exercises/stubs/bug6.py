"""Find the bug: a predictor that is applied again to what it has predicted; wrong in one place.

    ŝ_0 = encode_context(x);   ŝ_k = predictor(ŝ_(k−1))  for k = 1 … K
    x  ->  predictions ŝ_1 … ŝ_K (K, B, L)
    backward: dpredictions (K, B, L)  ->  nothing is returned; adds to the gradients of the parameters

`python -m minijepa.exercises check bug6` finds an error, though every gradient of the parameters is right.
Mend it; then think of a program in which this bug would make a gradient wrong, and how long you
would look for it.
"""

import numpy as np

from minijepa.modules import Module


class JEPA(Module):
    def __init__(self, context_encoder, predictor):
        self.context_encoder = context_encoder
        self.predictor = predictor

    def encode_context(self, x):
        return self.context_encoder.forward(x)

    def predict(self, x, steps=1):
        s, encoder_backward = self.encode_context(x)
        predictions, backwards = [], []
        for _ in range(steps):
            s, backward = self.predictor.forward(s)
            predictions.append(s)
            backwards.append(backward)

        def backward(dpredictions):
            for k in reversed(range(1, steps)):
                dpredictions[k - 1] += backwards[k](dpredictions[k])
            encoder_backward(backwards[0](dpredictions[0]))

        return np.stack(predictions), backward
