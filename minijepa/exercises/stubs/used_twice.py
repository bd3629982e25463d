"""A layer used more than once: the predictor is applied again to what it has predicted.

    ŝ_0 = encode_context(x);   ŝ_k = predictor(ŝ_(k−1))  for k = 1 … K
    x  ->  predictions ŝ_1 … ŝ_K (K, B, L)
    backward: dpredictions (K, B, L), the gradient toward each ŝ_k  ->  nothing is returned;
              the gradients of the predictor and the encoder are added up by their own backwards

The loss sees ŝ_k in two ways: directly (that is dpredictions[k − 1]), and through ŝ_(k+1), which was
computed from it. A value with several paths to the loss has the sum of their gradients. Which ŝ_k
has one path only? Begin there.

The predictor's parameters have K paths too, but its backward adds with `+=`: call each of the K
backwards once, and their gradients add up by themselves.

The check looks at: the gradients of the predictor and of the encoder, for K = 1, 2 and 3; and that
dpredictions is not written into.
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
            raise NotImplementedError("your turn")

        return np.stack(predictions), backward
