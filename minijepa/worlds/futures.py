"""Futures: a ball comes to a fork and goes one way or another; nothing that is seen tells which.

x is two pictures, 16 x 16, of the ball on its way to the fork, y one picture of it beyond. z is a
latent variable: the predictor is told each of its values in turn, and the energy is the smallest
over them. The energy sends no gradient to the targets, which VICReg alone teaches: the cheapest
way to a small minimum would be to make the futures one before z has told them apart.
"""

import numpy as np

from minijepa.gauges import collapse_gauges, linear_probe
from minijepa.jepa import JEPA
from minijepa.layers import Embedding, Sequential, perceptron
from minijepa.losses import Smallest
from minijepa.options import Option, choice, number, table, whole
from minijepa.predictors import Each, Told
from minijepa.worlds.base import COLLAPSE, World, two_encoders
from minijepa.worlds.forks import WIDTH, brightest, drawn, forks, picture

NEAR = 1.5                                   # pixels: a prediction as near as this is a hit
STEPS, HELD_OUT = 50, 500                    # batches of new films in an epoch; films
TOLD = 8                                     # features of a value of z


def every_value(values, count):
    """Each value of z for each of `count` examples: (K, count)."""
    return np.repeat(np.arange(values)[:, None], count, axis=1)


class Futures(World):
    """The fork. An epoch is 50 batches of films that were never seen before."""

    name = "futures"
    about, seconds = "a ball comes to a fork: each value of a latent variable is a future", 7
    options = {
        "ways": Option(2, whole(1, 9), "in which the ball may go on"),
        "values": Option(0, whole(0, 99), "of the latent variable; 0: as many as there are ways"),
        "soft": Option(0.3, number(0, 1), "part of the energy in which all values learn, at first; "
                       "it fades to 0"),
        "hidden_dim": Option(128, whole(1), "hidden units of each encoder and the predictor"),
        "latent_dim": Option(32, whole(1), "dimensions of the latents"),
        "predict": Option("latents", choice("latents", "pixels"), "pixels: the same model without "
                          "a target encoder, whose predictor gives the picture"),
    }
    defaults = {"epochs": 30, "batch_size": 128, "learning_rate": 6e-3, "decay": 0.5,
                "treatment": "stopgrad", "regularizer": "vicreg", "variance_weight": 3.0,
                "covariance_weight": 0.05}
    comparisons = {"one z": {"values": 1},
                   "pixels": {"predict": "pixels", "regularizer": "none"}}
    extras = {"show": "a fork, what each value of z predicts, and what is predicted without z"}
    columns = {**COLLAPSE, "covered": ("covered", ".4f"),
               "stray": ("stray", ".4f"), "nearest": ("nearest px", ".2f"),
               "floor": ("probe's floor px", ".3f")}
    probed = "target encoder"

    def prepare(self, rng):
        self.probed_films, self.held_out = (self.films(HELD_OUT, rng) for _ in range(2))

    def films(self, count, rng):
        """x (B, 2·WIDTH²), and where the ball is in each of its futures: (ways, B, 2)."""
        seen, futures = forks(count, self.config["ways"], rng)
        return self.pictures(seen).reshape(count, -1), futures

    def pictures(self, places):
        return picture(places, self.config["dtype"])

    def describe(self):
        return (f"a ball comes to a fork of {self.config['ways']} ways, pictures of {WIDTH} x "
                f"{WIDTH}; {STEPS} batches of new films an epoch, {HELD_OUT} held out")

    def build(self, config, rng, regularizer):
        """Each part has a generator of its own: how many values z has changes no other part."""
        two_encoders(config)
        hidden, latent, own = config["hidden_dim"], config["latent_dim"], rng.spawn(4)
        dtype, values = np.dtype(config["dtype"]), config["values"] or config["ways"]
        target = perceptron(WIDTH**2, hidden, latent, own[0], dtype, reads_data=True)
        outputs = latent
        if config["predict"] == "pixels":
            target, outputs = Sequential(), WIDTH**2   # the "latent" of a picture is the picture
        encoder = perceptron(2 * WIDTH**2, hidden, latent, own[1], dtype, reads_data=True)
        net = Told(perceptron(latent + TOLD, hidden, outputs, own[2], dtype),
                   Embedding(values, TOLD, own[3], dtype))
        return JEPA(encoder, target, Each(net), config["treatment"], config["tau"], regularizer,
                    regularize_target=True, distance=Smallest(config["soft"]))

    def schedule(self, model, done):
        model.distance.soft = self.config["soft"] * (1 - done)

    def batches(self, size, rng):
        for _ in range(STEPS):
            x, futures = self.films(size, rng)
            way = rng.integers(len(futures), size=size)
            y = self.pictures(futures[way, np.arange(size)][None])             # (1, B, WIDTH²)
            yield x, y, every_value(self.config["values"] or self.config["ways"], size)

    # --- what it has learned ---------------------------------------------------------------------

    def predicted(self, model, x):
        """What a model predicts, each value of z told in turn: (K, B, latent)."""
        values = len(model.predictor.net.tell.weight.value)                    # it may have others
        return model.predict(x, every_value(values, len(x)))[0]

    def targets(self, model, futures):
        """The latents of true futures: their places (ways, B, 2)  ->  (ways, B, latent)."""
        return model.encode_target(self.pictures(futures))[0]

    def reader(self, model):
        """A linear probe of where the ball is, fitted on the latents of true futures."""
        _, futures = self.probed_films
        s_y = self.targets(model, futures)
        return linear_probe(s_y.reshape(-1, s_y.shape[-1]), futures.reshape(-1, 2))

    def coverage(self, model):
        """covered: of the true futures, those that have a prediction within 1.5 pixels; stray: of
        the predictions, those that are near none; nearest: pixels from each to its nearest future.
        """
        x, futures = self.held_out
        places = self.reader(model)(self.predicted(model, x))                  # (K, B, 2)
        apart = np.linalg.norm(places[:, None] - futures, axis=-1)             # (K, ways, B)
        nearest = apart.min(axis=1)                                            # (K, B)
        return {"covered": float(np.mean(apart.min(axis=0) <= NEAR)),
                "stray": float(np.mean(nearest > NEAR)), "nearest": float(nearest.mean())}

    def probe(self, model):
        """floor: how far off the probe is on held-out targets themselves, in pixels."""
        _, futures = self.held_out
        off = self.reader(model)(self.targets(model, futures)) - futures       # (ways, B, 2)
        return {"floor": float(np.sqrt((off**2).sum(axis=-1).mean()))}

    def measure(self, model):
        x, futures = self.held_out
        s_y, predictions = self.targets(model, futures), self.predicted(model, x)
        apart = ((predictions[:, None] - s_y) ** 2).mean(axis=-1)              # (K, ways, B)
        best = np.take_along_axis(predictions, apart.argmin(axis=0)[..., None], axis=0)
        return {**collapse_gauges(best, s_y), **self.coverage(model), **self.probe(model)}

    def untrained(self, config):
        return super().untrained({**config, "predict": "latents"})

    def probed_input(self):
        return self.pictures(self.probed_films[1]).reshape(-1, WIDTH**2)

    def report(self, model, config, others):
        """How many futures each model covers; and the probes' table."""
        probes, findings = super().report(model, config, others)
        models = {"this model": model, **others}
        rows = {label: self.coverage(each) for label, each in models.items()}
        columns = {key: self.columns[key] for key in ("covered", "stray", "nearest")}
        coverage = table("held out, what is predicted", rows, columns)
        return f"{coverage}\n{probes}", {"coverage": rows, **findings}

    # --- what it looks like ----------------------------------------------------------------------

    def beliefs(self, model, film=0):
        """Where each value of z has the ball, in one held-out film: (K, 2), in pixels."""
        x = self.held_out[0][film:film + 1]
        return self.reader(model)(self.predicted(model, x))[:, 0]

    def show(self, model, others):
        """A fork, the true futures, and what each value of z predicts; then the other models."""
        x, futures = self.held_out
        seen = [(brightest(each), "●") for each in x[0].reshape(2, -1)]
        lines = ["● the ball as it is seen, o where it may go, 1 2 … where each value of z has it"]
        for label, each in {"this model": model, **others}.items():
            places = self.beliefs(each)                                        # (K, 2)
            marks = [*seen, *((place, "o") for place in futures[:, 0]),
                     *((place, str(z % 10)) for z, place in enumerate(places, 1))]
            apart = np.linalg.norm(places[:, None] - futures[:, 0], axis=-1).min(axis=1)
            lines += [f"{label}: pixels to the nearest future "
                      + ", ".join(f"{off:.1f}" for off in apart), drawn(marks)]
        return "\n".join(lines)

    def plot_fork(self, axes, model, others):
        """The same fork: the ball as it is seen, its futures, and what each model predicts."""
        x, futures = self.held_out
        axes.imshow(x[0].reshape(2, WIDTH, WIDTH).max(axis=0), cmap="Greys", vmax=2,
                    extent=(0, WIDTH, WIDTH, 0))
        axes.plot(*futures[:, 0].T, "o", color="#888888", markersize=14, label="true futures")
        for label, each in {"this model, each z": model, **others}.items():
            axes.plot(*self.beliefs(each).T, linestyle="", markersize=6, label=label)
        axes.plot(*futures[:, 0].mean(axis=0), "x", color="k", markersize=8, label="their average")
        axes.set(xticks=[], yticks=[], title="a ball comes to a fork")

    plots = (plot_fork,)
