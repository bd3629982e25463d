"""The second time scale of the rooms: a JEPA over the latents of the first one."""

import numpy as np

from minijepa.gauges import collapse_gauges
from minijepa.jepa import JEPA
from minijepa.layers import Linear, perceptron
from minijepa.options import Option, whole
from minijepa.predictors import Residual, Rollout, Told
from minijepa.worlds.base import COLLAPSE, World
from minijepa.worlds.rooms import PROBED, STEPS, Rooms

MACRO = 8                                    # actions of a macro-action


class Coarse(World):
    """The second time scale: x and y are the latents of a model of the rooms, 8 actions apart."""

    name = "rooms, coarse"
    options = {"hidden_dim": Rooms.options["hidden_dim"],
               "latent_dim": Rooms.options["latent_dim"],
               "code_dim": Option(8, whole(1), "numbers that stand for 8 actions"),
               "ahead": Option(4, whole(1), "macro-actions that are told")}
    defaults = {**Rooms.defaults, "epochs": 40}
    columns = COLLAPSE

    def __init__(self, rooms, model, **given):
        self.rooms, self.model = rooms, model
        kept = {key: rooms.config[key] for key in ("seed", "dtype")}
        super().__init__(**{**kept, **given})

    def prepare(self, rng):
        self.held_out = self.walks(PROBED, rng)

    def walks(self, count, rng):
        """x (N, L), y (K, N, L) and the macro-actions z (K, N, 8·2)."""
        K = self.config["ahead"]
        position, action = self.rooms.map.walks(count, K * MACRO, rng)
        seen = self.rooms.see(position[::MACRO], rng)
        s = self.model.encode_context(seen)[0]                                 # (1 + K, N, L)
        z = action.reshape(K, MACRO, count, 2).swapaxes(1, 2).reshape(K, count, 2 * MACRO)
        return s[0], s[1:], z.astype(s.dtype)

    def build(self, config, rng, regularizer):
        hidden, latent, code = (config[key] for key in ("hidden_dim", "latent_dim", "code_dim"))
        width, dtype = self.held_out[0].shape[1], np.dtype(config["dtype"])
        encoder = perceptron(width, hidden, latent, rng, dtype, reads_data=True)
        step = Told(perceptron(latent + code, hidden, latent, rng, dtype),
                    Linear(2 * MACRO, code, rng, dtype))
        return JEPA(encoder, encoder, Rollout(Residual(step)), "joint", regularizer=regularizer)

    def batches(self, size, rng):
        epoch = self.walks(STEPS * size, rng)
        for start in range(0, STEPS * size, size):
            yield tuple(each[..., start:start + size, :] for each in epoch)

    def measure(self, model):
        x, y, z = self.held_out
        return collapse_gauges(model.predict(x, z)[0], model.encode_target(y)[0])
