"""The same JEPA in PyTorch, to read beside minijepa/jepa.py: there is no backward, autograd has it.

Names and sizes are the article's, so a checkpoint's parameters load as they are.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn


def perceptron(inputs, hidden_dim, outputs):
    return nn.Sequential(nn.Linear(inputs, hidden_dim), nn.ReLU(), nn.Linear(hidden_dim, outputs))


class ToyJEPA(nn.Module):
    """The article's model, with our three treatments of the target: ema, stopgrad, joint."""

    def __init__(self, vocab_size, embed_dim=32, hidden_dim=64, latent_dim=32,
                 treatment="ema", tau=0.99):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, embed_dim)
        self.context_encoder = perceptron(embed_dim, hidden_dim, latent_dim)
        self.target_encoder = perceptron(embed_dim, hidden_dim, latent_dim)
        self.predictor = perceptron(latent_dim, hidden_dim, latent_dim)
        self.treatment, self.tau = treatment, tau
        self.target_encoder.requires_grad_(treatment == "joint")
        if treatment == "ema":
            self.target_encoder.load_state_dict(self.context_encoder.state_dict())

    def encode_context(self, context_ids, mask=None):
        """context_ids (B, T), mask (B, T) or None: every word counts  ->  s_x (B, latent)."""
        embedded = self.embedding(context_ids)                                 # (B, T, E)
        if mask is None:
            return self.context_encoder(embedded.mean(dim=1))
        mask = mask[:, :, None].to(embedded.dtype)                             # (B, T, 1)
        return self.context_encoder((embedded * mask).sum(dim=1) / mask.sum(dim=1))

    def encode_target(self, target_ids):
        """target_ids (B,)  ->  s_y (B, latent)."""
        return self.target_encoder(self.embedding(target_ids))

    def forward(self, context_ids, target_ids, mask=None):
        """ŝ_y and s_y, each (B, latent)."""
        predicted_target = self.predictor(self.encode_context(context_ids, mask))
        if self.treatment == "joint":
            return predicted_target, self.encode_target(target_ids)
        with torch.no_grad():                                                  # the stop-gradient
            return predicted_target, self.encode_target(target_ids)

    @torch.no_grad()
    def update_target(self):
        """After each optimizer step: target = τ·target + (1 − τ)·online, for `ema`."""
        if self.treatment == "ema":
            pairs = zip(self.target_encoder.parameters(), self.context_encoder.parameters())
            for target, online in pairs:
                target.lerp_(online, 1 - self.tau)


def training_step(model, optimizer, context_ids, target_ids, mask=None):
    """One step, as minijepa takes it; returns the loss from before it."""
    predicted_target, true_target = model(context_ids, target_ids, mask)
    loss = F.mse_loss(predicted_target, true_target)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    model.update_target()
    return loss.detach()


def load_checkpoint(model, path):
    """The parameters of a minijepa checkpoint: everything in it but what begins with `state/`."""
    model.load_state_dict({name: torch.from_numpy(array) for name, array in np.load(path).items()
                           if not name.startswith("state/")})
