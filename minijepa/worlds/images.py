"""Images: half of a digit's blocks are covered. What is under the card? I-JEPA in miniature.

A digit of 16×16 pixels is cut into 4×4 blocks. Its ink has stripes, whose phase in a block is
random with probability q: how much ink a block has can be predicted, which of its pixels is bright
cannot. x is the digit with a card on 8 blocks, any 8; y are these blocks, each alone; z says their
places. Assran et al. 2023.
"""

from functools import partial

import numpy as np

from minijepa.gauges import choose_ridge, collapse_gauges, linear_probe
from minijepa.jepa import JEPA
from minijepa.layers import Embedding, Sequential, perceptron
from minijepa.options import Option, choice, number, table, whole
from minijepa.predictors import Each, Told
from minijepa.worlds.base import COLLAPSE, Features, World
from minijepa.worlds.digits import (PIXELS, PLACES, cover, enlarge, ink_of, ink_of_cells, join,
                                    read_digits, stripe)

STEPS = 50                                   # batches in an epoch, with stripes drawn anew
DRAWS, LABELS = 10, 10                       # a probe is fitted so often, on so many of each class
CLOSE = 0.15                                 # ink that is as near to the true one is right
SHADES = "▒░·▓█"                             # of pixels from −1 to 1


class BlockJEPA(JEPA):
    """A JEPA whose encoders see a block; the mixer makes s_x of the latents of all blocks of x."""

    def __init__(self, context_encoder, target_encoder, mixer, predictor, *others):
        self.mixer = mixer
        super().__init__(context_encoder, target_encoder, predictor, *others)

    def encode_context(self, x):
        latents, encoder_backward = self.context_encoder.forward(x)            # (B, PLACES, L)
        s_x, mixer_backward = self.mixer.forward(latents.reshape(len(x), -1))  # (B, 2·L)

        def backward(ds_x):
            return encoder_backward(mixer_backward(ds_x).reshape(latents.shape))

        return s_x, backward


class Images(World):
    """The world of images. An epoch is 50 batches of digits, with new stripes and new masks."""

    name = "images"
    about, seconds = "half of a digit is covered: what is under the card?", 13
    options = {
        "q": Option(1.0, number(0, 1), "the dial: how often the phase of a block is random"),
        "noise": Option(0.0, number(0), "standard deviation of the noise on each pixel"),
        "hidden_dim": Option(64, whole(1), "hidden units of encoder and predictor; mixer: twice"),
        "latent_dim": Option(32, whole(1), "dimensions of a block's latent; of s_x: twice"),
        "predict": Option("latents", choice("latents", "pixels"), "pixels: of the hidden blocks"),
    }
    defaults = {"epochs": 36, "batch_size": 128, "learning_rate": 4e-3, "decay": 0.3}
    comparisons = {"masked autoencoder": {"predict": "pixels"},
                   "stop-gradient only (τ = 0)": {"tau": 0}, "frozen target (τ = 1)": {"tau": 1},
                   "joint": {"treatment": "joint"}}
    extras = {"show": "a held-out digit: seen, the truth, and what is imagined under the card"}
    columns = {**COLLAPSE, "accuracy": ("accuracy", ".3f")}
    probed = "s_x, 10 labels a class"
    handmade = {"abs(pixels)": np.abs, "energy of each cell": ink_of_cells}
    dial = {"accuracy": 1}

    def prepare(self, rng):
        images, labels = read_digits()
        self.ink = enlarge(images).astype(self.config["dtype"])
        held_out, self.train = np.split(rng.permutation(len(images)), [len(images) // 5])
        labelled = np.reshape([rng.permutation(self.train[labels[self.train] == digit])[:LABELS]
                               for _ in range(DRAWS) for digit in range(10)], (DRAWS, -1))
        self.labels, self.truth = labels[labelled], labels[held_out]
        self.labelled = self.draw(labelled.ravel(), rng)
        self.held_out, self.known = self.draw(held_out, rng), self.draw(self.train, rng)
        self.task = cover(self.held_out, rng)

    def draw(self, digits, rng):
        """What is seen of these digits: (N, PLACES, PIXELS)."""
        return stripe(self.ink[digits], rng, self.config["q"], self.config["noise"])

    def describe(self):
        return (f"{len(self.train)} digits in {PLACES} blocks, half of them covered; {STEPS} "
                f"batches an epoch with new stripes and masks; {len(self.truth)} digits held out")

    def build(self, config, rng, regularizer):
        hidden, L, dtype = config["hidden_dim"], config["latent_dim"], np.dtype(config["dtype"])
        net = partial(perceptron, rng=rng, dtype=dtype)
        new_encoder = partial(net, PIXELS, hidden, L, reads_data=True)
        encoder, mixer = new_encoder(), net(PLACES * L, 2 * hidden, 2 * L)
        predicted = {"latents": L, "pixels": PIXELS}[config["predict"]]
        predictor = Each(Told(net(3 * L, hidden, predicted), Embedding(PLACES, L, rng, dtype)))
        if config["predict"] == "pixels":              # the "latent" of a hidden block is the block
            return BlockJEPA(encoder, Sequential(), mixer, predictor, "stopgrad")
        target = encoder if config["treatment"] == "joint" else new_encoder()
        return BlockJEPA(encoder, target, mixer, predictor, config["treatment"], config["tau"],
                         regularizer)

    def batches(self, size, rng):
        for _ in range(STEPS):
            yield cover(self.draw(rng.choice(self.train, size), rng), rng)

    def measure(self, model):
        """The gauges over the hidden blocks of held-out digits, and what `probe` reads."""
        x, y, z = self.task
        return {**collapse_gauges(model.predict(x, z)[0], model.encode_target(y)[0]),
                **self.probe(model)}

    def probe(self, model):
        """accuracy: which digit? Read from s_x of all 16 blocks, the mean over DRAWS probes."""
        test = model.encode_context(self.held_out)[0]
        fit = model.encode_context(self.labelled)[0].reshape(*self.labels.shape, -1)
        read = [linear_probe(x, y, choose_ridge(x, y))(test)                   # each (N, 10)
                for x, y in zip(fit, np.eye(10)[self.labels])]
        return {"accuracy": float((np.argmax(read, axis=2) == self.truth).mean())}

    def more_probes(self, model, others):
        """Of the latents of the 16 blocks side by side, before they are mixed."""
        def unmixed(encoder):
            return Features(self, lambda x: self.raw(
                encoder.forward(x.reshape(-1, PLACES, PIXELS))[0]))

        models = {"this model": model, "untrained encoder": self.untrained(self.config)}
        return {f"{label}, block latents": self.probe(unmixed(each.context_encoder))
                for label, each in models.items()}

    def raw(self, x):
        return x.reshape(*x.shape[:-2], -1)

    def probed_input(self):
        return self.raw(self.known)

    def imagine(self, model):
        """For each hidden block the training block whose latent is nearest: (K, N, PIXELS)."""
        x, _, z = self.task
        blocks = self.known.reshape(-1, PIXELS)
        latents = model.encode_target(blocks)[0]                               # (M, L)
        squares = (latents**2).sum(axis=1)
        nearest = [(squares - 2 * s @ latents.T).argmin(axis=1) for s in model.predict(x, z)[0]]
        return blocks[np.array(nearest)]

    def report(self, model, config, others):
        text, findings = super().report(model, config, others)
        _, y, z = self.task
        inks = {label: ink_of(self.imagine(each))
                for label, each in {"this model": model, **others}.items()}
        inks["the mean ink of the place"] = ink_of(self.known).mean(axis=0)[z]
        rows = {label: {"right": float((abs(ink - ink_of(y)) < CLOSE).mean())}
                for label, ink in inks.items()}
        what = f"the ink under the card, off by less than {CLOSE}"
        right = table(what, rows, {"right": ("right", ".1%")})
        return f"{text}\n{right}", {**findings, "ink": rows}

    def pictures(self, model, others, count=4):
        """{title: (count, 16, 16)} of held-out digits: as seen, and with what is under the card."""
        x, y, z = self.task
        under = {"the truth": y, "imagined": self.imagine(model),
                 **{label: each.predict(x, z)[0] for label, each in others.items()
                    if not each.target_encoder.named_parameters()}}            # it predicts pixels
        drawn = {"seen": x}
        for title, blocks in under.items():
            drawn[title] = x.copy()
            drawn[title][np.arange(len(x)), z] = blocks
        return {title: join(blocks[:count]) for title, blocks in drawn.items()}

    def show(self, model, others):
        """A held-out digit in characters, ░▒ dark and ▓█ bright: seen, the truth, imagined."""
        pictures = self.pictures(model, others, 1)
        shade = np.array(list(SHADES))
        drawn = [shade[np.clip(np.rint(2 * picture[0]) + 2, 0, 4).astype(int)].repeat(2, 1)
                 for picture in pictures.values()]                             # each (16, 32)
        return "\n".join(["  ".join(f"{title:<32}" for title in pictures).rstrip(),
                          *("  ".join(map("".join, rows)) for rows in zip(*drawn))])

    def plot_imagined(self, axes, model, others):
        """The same as a picture, of four digits."""
        pictures = self.pictures(model, others)
        axes.imshow(tiled(np.stack([*pictures.values()], axis=1)), cmap="gray")
        axes.set_xticks(17 * np.arange(len(pictures)) + 8,                     # 16 and the line
                        [title.replace(" ", "\n") for title in pictures])
        axes.set(yticks=[], title="what is under the card?")

    def plot_neighbours(self, axes, model, others):
        """Two digits, each with the training digits whose s_x, and whose pixels, are nearest."""
        rows, two = [], self.held_out[:2]
        for of in lambda x: model.encode_context(x)[0], self.raw:
            distance = ((of(two)[:, None] - of(self.known)) ** 2).sum(axis=2)  # (2, N)
            nearest = self.known[np.argsort(distance)[:, :4]]
            rows += [join(np.stack([digit, *four])) for digit, four in zip(two, nearest)]
        axes.imshow(tiled(np.stack(rows)), cmap="gray")
        axes.set_yticks(17 * np.arange(4) + 8, ["by s_x", "by s_x", "by pixels", "by pixels"])
        axes.set(xticks=[], title="a digit, and the four nearest of the training")

    plots = plot_imagined, plot_neighbours


def tiled(pictures):
    """Pictures (rows, columns, 16, 16)  ->  one, with a line of nothing between them."""
    framed = np.pad(pictures, ((0, 0), (0, 0), (0, 1), (0, 1)), constant_values=np.nan)
    return np.vstack([np.hstack(row) for row in framed])
