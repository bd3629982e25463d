"""JEPA: predict the representation of what is hidden from the representation of what is seen.

x is the context and y the target, s_x and s_y are their latents, z is what the predictor is told
besides s_x, and D is the energy, a distance:

    s_x = encode(x);   ŝ_1 … ŝ_K = predictor(s_x, z);   loss = D(ŝ, s_y)

plus a regulariser, where one is asked for, on every encoder output that receives gradient.
"""

import numpy as np

from minijepa import layers
from minijepa.layers import Embedding, Mean, Sequential
from minijepa.losses import mse, no_regularizer
from minijepa.modules import Module
from minijepa.predictors import Rollout

TREATMENTS = ("ema", "stopgrad", "joint")


class JEPA(Module):
    """Context encoder, target encoder and predictor, for any world.

    `treatment` says what is done with the target branch:
    ema       target_encoder is the moving average of context_encoder (I-JEPA, V-JEPA);
              it starts as its copy, and the energy sends no gradient through the branch
    stopgrad  target_encoder has its own values; the energy sends no gradient through the branch
    joint     the gradient flows into both branches; the two encoders may be one and the same

    predictor.forward(s_x, z) gives (ŝ (K, B, latent), backward), as those of predictors.py do.
    regularizer(latents) returns (penalty, backward), as a loss does. It is asked of s_x, and under
    joint of s_y; under stopgrad `regularize_target` lets it alone teach the target encoder.
    distance(predictions, s_y) returns the energy and its backward: the mean squared error.
    """

    def __init__(self, context_encoder, target_encoder, predictor, treatment="ema", tau=0.99,
                 regularizer=no_regularizer, regularize_target=False, distance=mse):
        if treatment not in TREATMENTS:
            wanted = ", ".join(TREATMENTS)
            raise ValueError(f"JEPA: wanted a treatment of {wanted}, was given {treatment!r}")
        if treatment == "ema" and target_encoder is context_encoder:
            raise ValueError("JEPA: an average needs an encoder of its own; "
                             "one object for both goes with joint")
        self.context_encoder = context_encoder
        self.target_encoder = target_encoder
        self.predictor = predictor
        self.treatment, self.tau = treatment, tau
        self.regularizer, self.distance = regularizer, distance
        self.regularize_target = regularize_target or treatment == "joint"
        self.flatten(last=target_encoder)
        if treatment == "ema":
            target_encoder.value[:] = context_encoder.value

    def encode_context(self, x):
        """x, as the world gives it  ->  s_x (B, latent)."""
        return self.context_encoder.forward(x)

    def encode_target(self, y):
        """y, as the world gives it  ->  s_y (..., latent)."""
        return self.target_encoder.forward(y)

    def predict(self, x, z=None):
        """x, and what is told  ->  ŝ_1 … ŝ_K (K, B, latent); backward gives dz."""
        s_x, encoder_backward = self.encode_context(x)
        predictions, predictor_backward = self.predictor.forward(s_x, z)

        def backward(dpredictions):
            ds_x, dz = predictor_backward(dpredictions)
            encoder_backward(ds_x)
            return dz

        return predictions, backward

    def forward(self, x, y, z=None):
        """x, the targets y (K, B, …), what is told z (K, B, …)  ->  the loss of a training step."""
        s_x, encoder_backward = self.encode_context(x)                         # (B, latent)
        predictions, predictor_backward = self.predictor.forward(s_x, z)       # (K, B, latent)
        s_y, target_backward = self.encode_target(y)                           # (K, B, latent)
        loss, distance_backward = self.distance(predictions, s_y)
        penalty_x, penalty_x_backward = self.regularizer(s_x)
        loss = loss + penalty_x
        if self.regularize_target:
            penalty_y, penalty_y_backward = self.regularizer(s_y)
            loss = loss + penalty_y

        def backward(dloss=1):
            dpredictions, ds_y = distance_backward(dloss)
            ds_x, _ = predictor_backward(dpredictions)
            encoder_backward(ds_x + penalty_x_backward(dloss))
            if self.treatment != "joint":
                # The stop-gradient. Were ds_y to flow, the easiest way to a small loss would be to
                # move the targets to where any prediction hits them.
                ds_y = 0
            if self.regularize_target:
                target_backward(ds_y + penalty_y_backward(dloss))

        return loss, backward

    def trained(self):
        """What an optimizer moves: (values, gradients) of all that a gradient reaches.

        A target encoder that none reaches lies at the end of both vectors, and is left out.
        """
        still = {} if self.regularize_target else self.target_encoder.named_parameters()
        stop = self.value.size - sum(parameter.value.size for parameter in still.values())
        return self.value[:stop], self.grad[:stop]

    def update_target(self):
        """After each optimizer step: target = τ·target + (1 − τ)·online, for `ema`."""
        if self.treatment == "ema":
            target, online, tau = self.target_encoder.value, self.context_encoder.value, self.tau
            target *= tau
            target += (1 - tau) * online


class ToyJEPA(JEPA):
    """The article's model, with its names and sizes: which word is missing?

    x is (context_ids (B, T) integers, mask (B, T) booleans); y is target_ids (K, B).
    Both branches read the one embedding. Without a predictor, ŝ_y is s_x itself.
    perceptron(inputs, hidden, outputs, rng, dtype) makes the encoders and the predictor.
    """

    def __init__(self, vocab_size, rng, embed_dim=32, hidden_dim=64, latent_dim=32,
                 dtype=np.float32, treatment="ema", tau=0.99, regularizer=no_regularizer,
                 with_predictor=True, perceptron=layers.perceptron):
        def net(inputs):
            return perceptron(inputs, hidden_dim, latent_dim, rng, dtype)

        self.embedding = Embedding(vocab_size, embed_dim, rng, dtype)
        self.mean = Mean()
        predictor = Rollout(net(latent_dim) if with_predictor else Sequential())
        super().__init__(net(embed_dim), net(embed_dim), predictor, treatment, tau, regularizer)

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
