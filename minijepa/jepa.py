"""JEPA: predict the representation of what is hidden from the representation of what is seen.

x is the context and y the target; s_x and s_y are their latents, and D is the mean squared error:

    ŝ_0 = encode(x);   ŝ_k = predictor(ŝ_(k−1)),  k = 1 … K;   loss = mean over k of D(ŝ_k, s_k)

plus a regulariser, where one is asked for, on every encoder output that receives gradient.
"""

import numpy as np

from minijepa.layers import Embedding, Linear, Mean, ReLU, Sequential
from minijepa.losses import mse, no_regularizer
from minijepa.modules import Module

TREATMENTS = ("ema", "stopgrad", "joint")


class JEPA(Module):
    """Context encoder, target encoder and predictor, for any world.

    `treatment` says what is done with the target branch:
    ema       target_encoder is the moving average of context_encoder (I-JEPA, V-JEPA);
              it starts as its copy, and no gradient flows through the branch
    stopgrad  target_encoder has its own values; no gradient flows through the branch
    joint     the gradient flows into both branches; the two encoders may be one and the same

    regularizer(latents) returns (penalty, backward), as a loss does.
    """

    def __init__(self, context_encoder, target_encoder, predictor, treatment="ema", momentum=0.99,
                 regularizer=no_regularizer):
        if treatment not in TREATMENTS:
            raise ValueError(f"JEPA: wanted one of {', '.join(TREATMENTS)}, was given {treatment!r}")
        if treatment == "ema" and target_encoder is context_encoder:
            raise ValueError("JEPA: an average needs an encoder of its own; one object for both goes with joint")
        self.context_encoder = context_encoder
        self.target_encoder = target_encoder
        self.predictor = predictor
        self.treatment, self.momentum, self.regularizer = treatment, momentum, regularizer
        self.flatten()
        if treatment == "ema":
            target_encoder.value[:] = context_encoder.value

    def encode_context(self, x):
        """x, as the world gives it  ->  s_x (B, latent)."""
        return self.context_encoder.forward(x)

    def encode_target(self, y):
        """y, as the world gives it  ->  s_y (..., latent)."""
        return self.target_encoder.forward(y)

    def rollout(self, s_x, steps):
        """s_x (B, latent)  ->  ŝ_1 … ŝ_K (K, B, latent): the predictor, applied to what it has predicted."""
        s, predictions, backwards = s_x, [], []
        for _ in range(steps):
            s, backward = self.predictor.forward(s)
            predictions.append(s)
            backwards.append(backward)

        def backward(dpredictions):
            ds = 0                                     # nothing comes after the last step
            for dprediction, undo in zip(dpredictions[::-1], backwards[::-1], strict=True):
                ds = undo(dprediction + ds)            # from the loss at k, and from step k + 1
            return ds

        return np.stack(predictions), backward

    def predict(self, x, steps=1):
        """x  ->  ŝ_1 … ŝ_K (K, B, latent)."""
        s_x, encoder_backward = self.encode_context(x)
        predictions, rollout_backward = self.rollout(s_x, steps)
        return predictions, lambda dpredictions: encoder_backward(rollout_backward(dpredictions))

    def forward(self, x, y):
        """x and the K targets y, with K as their first dimension  ->  the loss of a training step."""
        s_x, encoder_backward = self.encode_context(x)                         # (B, latent)
        predictions, rollout_backward = self.rollout(s_x, len(y))              # (K, B, latent)
        s_y, target_backward = self.encode_target(y)                           # (K, B, latent)
        loss, mse_backward = mse(predictions, s_y)
        penalty_x, penalty_x_backward = self.regularizer(s_x)
        loss = loss + penalty_x
        if self.treatment == "joint":
            penalty_y, penalty_y_backward = self.regularizer(s_y)
            loss = loss + penalty_y

        def backward(dloss=1):
            dpredictions, ds_y = mse_backward(dloss)
            encoder_backward(rollout_backward(dpredictions) + penalty_x_backward(dloss))
            if self.treatment == "joint":
                target_backward(ds_y + penalty_y_backward(dloss))
            # Otherwise the stop-gradient: ds_y is dropped here. Were it to flow, the easiest way
            # to a small loss would be to move the targets to where any prediction hits them.

        return loss, backward

    def update_target(self):
        """After each optimizer step: target = τ·target + (1 − τ)·online, for `ema`."""
        if self.treatment == "ema":
            target, online, tau = self.target_encoder.value, self.context_encoder.value, self.momentum
            target *= tau
            target += (1 - tau) * online


class ToyJEPA(JEPA):
    """The article's model, with its names and sizes: which word is missing?

    x is (context_ids (B, T) integers, mask (B, T) booleans); y is target_ids (K, B).
    Both branches read the one embedding. Without a predictor, ŝ_y is s_x itself.
    """

    def __init__(self, vocab_size, rng, embed_dim=32, hidden_dim=64, latent_dim=32,
                 dtype=np.float32, treatment="ema", momentum=0.99, regularizer=no_regularizer,
                 with_predictor=True):
        def perceptron(inputs):
            return Sequential(
                Linear(inputs, hidden_dim, rng, dtype),
                ReLU(),
                Linear(hidden_dim, latent_dim, rng, dtype),
            )

        self.embedding = Embedding(vocab_size, embed_dim, rng, dtype)
        self.mean = Mean()
        predictor = perceptron(latent_dim) if with_predictor else Sequential()
        super().__init__(perceptron(embed_dim), perceptron(embed_dim), predictor,
                         treatment, momentum, regularizer)

    def encode_context(self, x):
        context_ids, mask = x
        embedded, embedding_backward = self.embedding.forward(context_ids)     # (B, T, E)
        mean, mean_backward = self.mean.forward(embedded, mask)                # (B, E)
        s_x, encoder_backward = self.context_encoder.forward(mean)             # (B, latent)

        def backward(ds_x):
            embedding_backward(mean_backward(encoder_backward(ds_x)))

        return s_x, backward

    def encode_target(self, y):
        embedded, embedding_backward = self.embedding.forward(y)               # (K, B, E)
        s_y, encoder_backward = self.target_encoder.forward(embedded)          # (K, B, latent)

        def backward(ds_y):
            embedding_backward(encoder_backward(ds_y))

        return s_y, backward
