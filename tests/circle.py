"""A world in a reader's own file, as small as they come; tests/test_worlds.py trains in it."""

import numpy as np

from minijepa.gauges import linear_probe, r_squared, relative_loss, std
from minijepa.jepa import JEPA
from minijepa.layers import Sequential, perceptron
from minijepa.options import Option, whole
from minijepa.predictors import Each, Told
from minijepa.worlds.base import World


class Circle(World):
    """A point on a circle, and where three turns take it."""

    name = "circle"
    options = {"latent_dim": Option(4, whole(1), "dimensions of the latents")}
    defaults = {"epochs": 5, "batch_size": 8, "regularizer": "sigreg"}
    columns = {"relative_loss": ("relative loss", ".4f"), "std": ("std", ".4f"),
               "place_r2": ("place R²", ".3f")}

    def prepare(self, rng):
        self.probed_points, self.held_out = self.draw(60, rng), self.draw(40, rng)

    def draw(self, count, rng):
        angle, turn = rng.uniform(0, 2 * np.pi, count), rng.uniform(-1, 1, (3, count))

        def point(angle):
            return np.stack([np.cos(angle), np.sin(angle)], axis=-1).astype(self.config["dtype"])

        return point(angle), point(angle + turn), turn[..., None].astype(self.config["dtype"])

    def build(self, config, rng, regularizer):
        L, dtype = config["latent_dim"], config["dtype"]

        def net(inputs):
            return perceptron(inputs, 6, L, rng, dtype)

        return JEPA(net(2), net(2), Each(Told(net(L + 1), Sequential())), config["treatment"],
                    config["tau"], regularizer)

    def batches(self, size, rng):
        for _ in range(3):
            yield self.draw(size, rng)

    def measure(self, model):
        x, y, z = self.held_out
        s_y = model.encode_target(y)[0].reshape(-1, self.config["latent_dim"])
        predictions = model.predict(x, z)[0].reshape(s_y.shape)
        return {"relative_loss": relative_loss(predictions, s_y),
                "std": std(s_y), **self.probe(model)}

    def probe(self, model):
        (x, _, _), (other, _, _) = self.probed_points, self.held_out
        read = linear_probe(model.encode_context(x)[0], x)
        return {"place_r2": r_squared(other, read(model.encode_context(other)[0]))}

    def probed_input(self):
        return self.probed_points[0]
