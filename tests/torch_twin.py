"""The same models in PyTorch, to read beside minijepa/: there is no backward, autograd has it.

`twin(module)` is any module of ours as the PyTorch module of the same meaning; names and shapes are
the same, so a checkpoint's parameters load as they are. `ToyJEPA` is the article's listing with our
three treatments of the target, typed by itself: a second opinion.
"""

import copy
from functools import partial

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn

from minijepa import jepa, layers, losses, predictors
from minijepa.worlds import images, scenes, video

# ---- the article's model


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


# ---- any module of ours: its modules first, then `twin`


class Mean(nn.Module):
    def forward(self, x, mask):                        # (B, T, E), (B, T)  ->  (B, E)
        mask = mask[:, :, None].to(x.dtype)
        return (x * mask).sum(dim=1) / mask.sum(dim=1)


class Text(nn.Module):
    def __init__(self, embedding, mean, linear):
        super().__init__()
        self.embedding, self.mean, self.linear = embedding, mean, linear

    def forward(self, ids):                            # (..., T)  ->  (..., E)
        rows = ids.flatten(0, -2)
        y = self.linear(self.mean(self.embedding(rows.clamp(min=0)), rows >= 0))
        return y.unflatten(0, ids.shape[:-1])


class Told(nn.Module):
    def __init__(self, net, tell):
        super().__init__()
        self.net, self.tell = net, tell

    def forward(self, s, z):
        return self.net(torch.cat([s, self.tell(z)], dim=-1))


class Residual(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, s, *z):
        return s + self.net(s, *z)


class NextFrame(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return torch.cat([x[:, video.FRAME:], self.net(x)], dim=1)


class Around(nn.Module):
    """It adds nothing to the names of its net: the net's parts are its own."""

    def __init__(self, net):
        super().__init__()
        self._modules, self._parameters = net._modules, net._parameters
        self.inner = (net,)                            # in a tuple: no part


class Rollout(Around):
    def __init__(self, net, steps):
        super().__init__(net)
        self.steps = steps

    def forward(self, s, z=None):
        predictions = []
        for told in [()] * self.steps if z is None else [(z_k,) for z_k in z]:
            s = self.inner[0](s, *told)
            predictions.append(s)
        return torch.stack(predictions)


class Each(Around):
    def forward(self, s, z):
        return self.inner[0](s.expand(len(z), *s.shape), z)


class JEPA(nn.Module):
    """forward(x, y, z) is the loss. On several processes, each with its part of the batch, it is
    that of the whole batch: variance, covariance and InfoNCE are no means over examples."""

    def __init__(self, ours, twin_of):
        super().__init__()
        for name, part in ours.children().items():
            self.add_module(name, twin_of(part))
        self.treatment, self.tau = ours.treatment, ours.tau
        self.distance, self.regularizer = energy(ours.distance), regularizer(ours.regularizer)
        self.regularize_target = ours.regularize_target
        if self.target_encoder is not self.context_encoder:
            self.target_encoder.requires_grad_(self.regularize_target)

    def encode_context(self, x):
        return self.context_encoder(x)

    def encode_target(self, y):
        return self.target_encoder(y)

    def predict(self, x, z=None):
        return self.predictor(self.encode_context(x), z)

    def forward(self, x, y, z=None):
        s_x = self.encode_context(x)
        predictions = self.predictor(s_x, z)
        with torch.set_grad_enabled(self.regularize_target):
            s_y = self.encode_target(y)
        s_x, predictions, s_y = gathered(s_x, 0), gathered(predictions, 1), gathered(s_y, 1)
        loss = self.distance(predictions, s_y if self.treatment == "joint" else s_y.detach())
        loss = loss + self.regularizer(s_x)
        return loss + self.regularizer(s_y) if self.regularize_target else loss

    update_target = ToyJEPA.update_target


class WordJEPA(JEPA):
    def encode_context(self, x):
        context_ids, mask = x
        return self.context_encoder(self.mean(self.embedding(context_ids), mask))

    def encode_target(self, y):
        return self.target_encoder(self.embedding(y))


class BlockJEPA(JEPA):
    def encode_context(self, x):
        return self.mixer(self.context_encoder(x).flatten(1))


def gathered(latents, dim):
    """The latents of all processes. The gradient flows into this one's, as often as there are
    processes: DistributedDataParallel takes the mean over them, and wanted is the sum."""
    if not (dist.is_available() and dist.is_initialized()):
        return latents
    count, own = dist.get_world_size(), latents.detach().contiguous()
    parts = [torch.empty_like(own) for _ in range(count)]
    dist.all_gather(parts, own)
    parts[dist.get_rank()] = count * latents - (count - 1) * own
    return torch.cat(parts, dim)


RULES = {                                              # (ours, twin_of) -> the twin
    layers.Embedding: lambda ours, twin_of: nn.Embedding(*ours.weight.value.shape),
    layers.Linear: lambda ours, twin_of: nn.Linear(*ours.weight.value.shape[::-1]),
    layers.ReLU: lambda ours, twin_of: nn.ReLU(),
    layers.Mean: lambda ours, twin_of: Mean(),
    layers.Sequential: lambda ours, twin_of: nn.Sequential(*map(twin_of, ours.layers)),
    scenes.Text: lambda ours, twin_of: Text(*map(twin_of, ours.children().values())),
    predictors.Told: lambda ours, twin_of: Told(twin_of(ours.net), twin_of(ours.tell)),
    predictors.Residual: lambda ours, twin_of: Residual(twin_of(ours.net)),
    predictors.Rollout: lambda ours, twin_of: Rollout(twin_of(ours.net), ours.steps),
    predictors.Each: lambda ours, twin_of: Each(twin_of(ours.net)),
    video.NextFrame: lambda ours, twin_of: NextFrame(twin_of(ours.net)),
    jepa.JEPA: JEPA,
    jepa.ToyJEPA: WordJEPA,
    images.BlockJEPA: BlockJEPA,
}


def twin(ours):
    """The PyTorch module of the same meaning as one of ours, with a copy of its values."""
    made = {}                                          # what ours shares, the twin shares

    def twin_of(part):
        if id(part) not in made:
            made[id(part)] = RULES[type(part)](part, twin_of)
        return made[id(part)]

    theirs = twin_of(ours)
    named = {name: torch.tensor(part.value) for name, part in ours.named_parameters().items()}
    if named:
        theirs.to(next(iter(named.values())).dtype)
    theirs.load_state_dict(named)                      # exactly these names
    return theirs


# ---- energies and regularisers, as they are published


def smallest(predictions, target, soft=0.0):
    distances = (predictions - target).square().mean(dim=2)                    # (K, B)
    return ((1 - soft) * distances.min(dim=0).values + soft * distances.mean(dim=0)).mean()


class Smallest:
    def __init__(self, soft):
        self.soft = soft

    def __call__(self, predictions, target):
        return smallest(predictions, target, self.soft)


def cross_entropy(logits, target):
    return F.cross_entropy(logits.flatten(0, -2), target.flatten(0, -2))


def infonce(prediction, target, temperature=0.07):
    """CLIP, figure 3."""
    u, v = (s.flatten(0, -2) for s in (prediction, target))
    u, v = (s / (s.square().sum(dim=1, keepdim=True) + 1e-12).sqrt() for s in (u, v))
    logits, labels = u @ v.T / temperature, torch.arange(len(u))
    return (F.cross_entropy(logits, labels) + F.cross_entropy(logits.T, labels)) / 2


ENERGIES = {losses.mse: F.mse_loss, losses.smallest: smallest,
            losses.cross_entropy: cross_entropy, losses.infonce: infonce}


def energy(ours):
    if isinstance(ours, losses.Smallest):
        return Smallest(ours.soft)
    if isinstance(ours, partial):
        return partial(ENERGIES[ours.func], **ours.keywords)
    return ENERGIES[ours]


def variance(latents):
    """VICReg, algorithm 1: (N, L) -> a number."""
    return torch.mean(F.relu(1 - torch.sqrt(latents.var(dim=0) + 1e-4)))


def covariance(latents):
    """VICReg, algorithm 1: off_diagonal(cov).pow_(2).sum() / L."""
    N, L = latents.shape
    latents = latents - latents.mean(dim=0)
    cov = (latents.T @ latents) / (N - 1)
    off_diagonal = cov.flatten()[:-1].view(L - 1, L + 1)[:, 1:].flatten()
    return off_diagonal.pow(2).sum() / L


def sigreg(latents, directions):
    """LeJEPA's SIGReg, with the directions given: 17 knots from 0 to 3, weighted as of |t|."""
    t = torch.linspace(0, 3, 17, dtype=latents.dtype)
    dt = 3 / 16
    weights = torch.full((17,), 2 * dt, dtype=latents.dtype)
    weights[[0, -1]] = dt
    phi = torch.exp(-t.square() / 2)
    x_t = (latents @ directions).unsqueeze(-1) * t
    err = (x_t.cos().mean(0) - phi).square() + x_t.sin().mean(0).square()
    return ((err @ (weights * phi)) * latents.size(0)).mean()


class VICReg:
    def __init__(self, variance_weight, covariance_weight):
        self.variance_weight, self.covariance_weight = variance_weight, covariance_weight

    def __call__(self, latents):
        rows = latents.flatten(0, -2)
        if len(rows) == 1:
            return 0
        return self.variance_weight * variance(rows) + self.covariance_weight * covariance(rows)


class SIGReg:
    """It draws from a copy of our generator, so the directions are the same."""

    def __init__(self, rng, weight, directions):
        self.rng, self.weight, self.directions = copy.deepcopy(rng), weight, directions

    def __call__(self, latents):
        rows = latents.flatten(0, -2)
        drawn = self.rng.standard_normal((rows.shape[1], self.directions))
        directions = F.normalize(torch.tensor(drawn, dtype=rows.dtype), dim=0)
        return self.weight * sigreg(rows, directions)


def no_regularizer(latents):
    return 0


def regularizer(ours):
    if isinstance(ours, losses.VICReg):
        return VICReg(ours.variance_weight, ours.covariance_weight)
    if isinstance(ours, losses.SIGReg):
        return SIGReg(ours.rng, ours.weight, ours.directions)
    return no_regularizer


# ---- training, files


def training_step(model, optimizer, *inputs):
    """One step, as minijepa takes it, also of a DistributedDataParallel; the loss from before it.

    The listing is given context_ids, target_ids and perhaps a mask; a twin x, y and perhaps z.
    """
    outputs = model(*inputs)
    loss = F.mse_loss(*outputs) if isinstance(outputs, tuple) else outputs
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    getattr(model, "module", model).update_target()
    return loss.detach()


def trained(model):
    """The parameters that an optimizer is given."""
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def tensors(batch):
    """A batch of a world, arrays and tuples of them, as tensors."""
    if isinstance(batch, tuple):
        return tuple(map(tensors, batch))
    return batch if batch is None else torch.from_numpy(batch)


def load_checkpoint(model, path):
    """The parameters of a minijepa checkpoint: everything in it but what begins with `state/`."""
    model.load_state_dict({name: torch.from_numpy(array) for name, array in np.load(path).items()
                           if not name.startswith("state/")})
