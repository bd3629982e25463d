"""Video: a ball rolls behind a chair, is hidden, and should come out where physics says.

A strip of 24 pixels; the ball, 3 pixels wide, keeps its speed and bounces off the ends; the chair
covers pixels 9 to 14, always. Beside the strip four lamps flicker at random: noise.
x is a window of 3 frames; y are the 12 windows that follow, each one frame further on.
"""

from dataclasses import dataclass

import numpy as np

from minijepa.gauges import (effective_rank, latent_std, linear_probe, principal_components, r_squared,
                             relative_loss, rmse)
from minijepa.jepa import JEPA
from minijepa.layers import Linear, ReLU, Residual, Sequential
from minijepa.losses import no_regularizer
from minijepa.modules import Module
from minijepa.options import Option, choice, whole

WIDTH, BALL, LAMPS = 24, 3, 4                # pixels, pixels, lamps
CHAIR = slice(9, 15)                         # the pixels that it covers
LEFT, RIGHT = BALL / 2, WIDTH - BALL / 2     # where the ball's middle turns back
SLOWEST, FASTEST = 0.6, 1.4                  # pixels a frame
FRAME, WINDOW, AHEAD = WIDTH + LAMPS, 3, 12  # numbers in a frame; frames in a window; windows ahead
STEPS = 50                                   # batches in an epoch: every one of new films
PROBED = 1000                                # films that the probes are fitted on, and as many held out


@dataclass
class Films:
    """N films of T frames: what is seen, and the truth behind it, which only the probes are told."""

    frames: np.ndarray       # (N, T, FRAME)
    position: np.ndarray     # (N, T) of the ball's middle, in pixels
    velocity: np.ndarray     # (N, T) in pixels a frame

    @property
    def windows(self):
        """(N, T − 2, 3·FRAME): the frames t, t + 1, t + 2 side by side."""
        T = self.frames.shape[1]
        return np.concatenate([self.frames[:, i:T - WINDOW + 1 + i] for i in range(WINDOW)], axis=2)

    @property
    def hidden(self):
        """(N, T): whether all of the ball is behind the chair."""
        return (self.position >= CHAIR.start + BALL / 2) & (self.position <= CHAIR.stop - BALL / 2)


def film(count, length, rng, dtype=np.float32):
    """`count` films of `length` frames."""
    start = rng.uniform(LEFT, RIGHT, count)
    speed = rng.uniform(SLOWEST, FASTEST, count) * rng.choice([-1, 1], count)
    # A ball that bounces in a box is one that rolls straight on in a row of mirrored boxes
    box = RIGHT - LEFT
    rolled = ((start - LEFT)[:, None] + speed[:, None] * np.arange(length)) % (2 * box)      # (N, T)
    position = LEFT + np.minimum(rolled, 2 * box - rolled)
    velocity = speed[:, None] * np.where(rolled < box, 1, -1)

    pixel = np.arange(WIDTH)
    middle = position[:, :, None]                                              # (N, T, 1)
    covered = np.minimum(pixel + 1, middle + BALL / 2) - np.maximum(pixel, middle - BALL / 2)
    strip = np.clip(covered, 0, 1)                                             # (N, T, WIDTH)
    strip[:, :, CHAIR] = 0
    lamps = rng.integers(0, 2, (count, length, LAMPS))
    return Films(np.concatenate([strip, lamps], axis=2).astype(dtype), position, velocity)


class NextFrame(Module):
    """A window of pixels -> the next one: its newest frames, and the frame that `net` predicts."""

    def __init__(self, net):
        self.net = net

    def forward(self, x):
        frame, net_backward = self.net.forward(x)                              # (B, FRAME)

        def backward(dy):
            dx = net_backward(dy[:, -FRAME:])
            dx[:, FRAME:] += dy[:, :-FRAME]
            return dx

        return np.concatenate([x[:, FRAME:], frame], axis=1), backward


class Video:
    """The video world. An epoch is 50 batches of films that were never seen before."""

    name = "video"
    options = {
        "hidden_dim": Option(256, whole(1), "hidden units of the encoder and the predictor"),
        "latent_dim": Option(16, whole(1), "dimensions of the latents"),
        "predict": Option("latents", choice("latents", "pixels"), "latents, or pixels: a model of the same size "
                          "without an encoder, whose predictor gives the next frame"),
    }
    defaults = {"epochs": 30, "batch_size": 64, "learning_rate": 4e-3, "target": "joint",
                "regularizer": "vicreg", "covariance_weight": 0.01, "decay": 0.9}
    comparisons = {"pixel predictor": {"predict": "pixels", "target": "stopgrad", "regularizer": "none"}}
    extras = {"show": "play a held-out film: reality above, what the latent believes below"}
    columns = {"relative_loss": ("relative loss", ".4f"), "latent_std": ("std", ".4f"),
               "effective_rank": ("effective rank", ".2f"), "hidden_rmse": ("hidden px", ".2f"),
               "reappear_rmse": ("reappears px", ".2f"), "position_rmse": ("visible px", ".2f"),
               "velocity_r2": ("velocity R²", ".3f"), "lamps_r2": ("lamps R²", ".3f")}

    def __init__(self, rng, dtype="float32", **_):
        self._take(int(rng.integers(2**62)), dtype)

    @classmethod
    def restore(cls, state):
        world = cls.__new__(cls)
        world._take(int(state["seed"]), str(state["dtype"]))
        return world

    def state(self):
        return {"seed": self.seed, "dtype": self.dtype}

    def _take(self, seed, dtype):
        self.seed, self.dtype = seed, dtype
        rng = np.random.default_rng(seed)
        self.probed, self.held_out = (film(PROBED, WINDOW + AHEAD, rng, dtype) for _ in range(2))

    def describe(self):
        return (f"a strip of {WIDTH} pixels and {LAMPS} lamps; {WINDOW} frames are seen, {AHEAD} windows predicted; "
                f"{STEPS} batches of new films an epoch, {PROBED} films held out")

    def build(self, config, rng, regularizer):
        hidden, latent, dtype = config["hidden_dim"], config["latent_dim"], np.dtype(config["dtype"])

        def perceptron(inputs, outputs):
            return [Linear(inputs, hidden, rng, dtype), ReLU(), Linear(hidden, outputs, rng, dtype)]

        encoder = perceptron(WINDOW * FRAME, latent)
        if config["predict"] == "pixels":
            nothing = Sequential()                     # the "latent" of a window is the window
            predictor = NextFrame(Sequential(*encoder, *perceptron(latent, FRAME)))
            return JEPA(nothing, nothing, predictor, "stopgrad")               # no encoder to treat or to regularise
        encoder = Sequential(*encoder)
        target_encoder = encoder
        if config["target"] != "joint":
            target_encoder = Sequential(*perceptron(WINDOW * FRAME, latent))
        predictor = Residual(Sequential(*perceptron(latent, latent)))          # from one frame to the next little changes
        return JEPA(encoder, target_encoder, predictor, config["target"], config["momentum"], regularizer)

    def batches(self, size, rng):
        for _ in range(STEPS):
            windows = film(size, WINDOW + AHEAD, rng, self.dtype).windows.transpose(1, 0, 2)  # (1 + K, B, 84)
            yield np.ascontiguousarray(windows[0]), np.ascontiguousarray(windows[1:])

    def measure(self, model):
        """The gauges over the rolled-out latents and their targets, and what `read` reads."""
        fit, test = self.look(model, self.probed), self.look(model, self.held_out)
        targets, rolled = (rows.reshape(-1, rows.shape[-1]) for rows in (test[0][:, 1:], test[1]))
        return {"relative_loss": relative_loss(rolled, targets), "latent_std": latent_std(targets),
                "effective_rank": effective_rank(targets), **self.read(fit, test)}

    def look(self, model, films):
        """The latents of all windows (N, 1 + K, latent), and those rolled out from the first (N, K, latent)."""
        windows = films.windows
        rolled = model.predict(np.ascontiguousarray(windows[:, 0]), AHEAD)[0]  # (K, N, latent)
        return model.encode_target(windows)[0], rolled.transpose(1, 0, 2)

    def read(self, fit, test):
        """What linear probes read, fitted on one set of films and measured on the other; `look` gives both.

        Of windows in which the ball is seen: position_rmse (pixels), velocity_r2; of all: lamps_r2.
        Of what is rolled out from a window in which the ball is seen, with a probe for each step:
        hidden_rmse (pixels) while it is hidden, reappear_rmse in the first frame in which it is back.
        """
        probed, films = self.probed, self.held_out
        last = slice(WINDOW - 1, None)                                         # a window's newest frame

        def probe(x, y, among, x_held_out):
            return linear_probe(x[among], y[among])(x_held_out)

        seen = [window_seen(films.hidden) for films in (probed, films)]        # (N, 1 + K)
        position = probe(fit[0], probed.position[:, last], seen[0], test[0])
        velocity = probe(fit[0], probed.velocity[:, last], seen[0], test[0])
        lamps = probe(fit[0], probed.frames[:, last, WIDTH:], np.ones_like(seen[0]), test[0])
        rolled = self.believe(fit[1], test[1])                                 # (N, K)
        truth, hidden = films.position[:, WINDOW:], films.hidden[:, WINDOW:]
        begins_seen = seen[1][:, :1]                                           # (N, 1)
        back = films.hidden[:, WINDOW - 1:-1] & ~hidden
        return {"position_rmse": rmse(films.position[:, last][seen[1]], position[seen[1]]),
                "velocity_r2": r_squared(films.velocity[:, last][seen[1]], velocity[seen[1]]),
                "hidden_rmse": rmse(truth[hidden & begins_seen], rolled[hidden & begins_seen]),
                "reappear_rmse": rmse(truth[back & begins_seen], rolled[back & begins_seen]),
                "lamps_r2": r_squared(films.frames[:, last, WIDTH:].reshape(-1, LAMPS), lamps.reshape(-1, LAMPS))}


    def believe(self, fit, test):
        """The position at each step ahead, read by a probe for each step: two (N, K, D)  ->  (N, K), in pixels.

        It is fitted on rolled-out latents: one fitted on latents of what is seen would transfer badly.
        """
        seen = window_seen(self.probed.hidden)[:, 0]
        return np.stack([linear_probe(fit[seen, k], self.probed.position[seen, WINDOW + k])(test[:, k])
                         for k in range(AHEAD)], axis=1)

    def report(self, model, config, others):
        """A table of what can be read off the latents, and off the baselines; {"baselines": …} for --json."""
        untrained = self.build({**config, "predict": "latents"}, np.random.default_rng(config["seed"]), no_regularizer)
        windows = [films.windows for films in (self.probed, self.held_out)]
        project = principal_components(windows[0].reshape(-1, WINDOW * FRAME), config["latent_dim"])
        rows = {what: self.read(*(self.look(each, films) for films in (self.probed, self.held_out)))
                for what, each in {"this model": model, **others, "untrained encoder": untrained}.items()}
        for what, features in {f"PCA of the input to {config['latent_dim']}": project, "raw input": lambda x: x,
                               "the mean": lambda x: x[..., :1] * 0}.items():
            # no rollout: the first window's features stay, and the probe of each step looks ahead itself
            rows[what] = self.read(*((features(x), np.repeat(features(x)[:, :1], AHEAD, axis=1)) for x in windows))
        headings = {key: heading for key, (heading, _) in self.columns.items() if key in rows["the mean"]}
        lines = ["held out, by linear probe" + "".join(f"  {heading:>12}" for heading in headings.values())]
        for what, row in rows.items():
            lines.append(f"{what:<25}" + "".join(f"  {row[key]:>12.3f}" for key in headings))
        return "\n".join(lines), {"baselines": {what: rows[what] for what in list(rows)[1:]}}

    def show(self, model):
        """A held-out film in which the ball goes behind the chair and comes out: truth and belief, a line a frame."""
        film = self.passing_film()
        position, believed = self.held_out.position[film, WINDOW:], self.believed(model)[film]
        lines = ["o reality, x what the latent believes, ▒ the chair; the model saw only the first three frames",
                 "step  " + " " * WIDTH + "  px off"]
        for k, (true, belief) in enumerate(zip(position, believed), 1):
            strip = ["▒" if CHAIR.start <= pixel < CHAIR.stop else "·" for pixel in range(WIDTH)]
            above, below = strip.copy(), strip.copy()
            above[int(np.clip(true, 0, WIDTH - 1))] = "o"
            below[int(np.clip(belief, 0, WIDTH - 1))] = "x"
            note = "hidden" if self.held_out.hidden[film, WINDOW - 1 + k] else ""
            lines += [f"{k:>4}  {''.join(above)}  {note}", f"      {''.join(below)}  {belief - true:+.2f}"]
        return "\n".join(lines)

    def passing_film(self):
        """The first held-out film in which the ball, seen at first, goes behind the chair and comes out."""
        hidden = self.held_out.hidden
        passes = window_seen(hidden)[:, 0] & (hidden[:, WINDOW:].sum(axis=1) >= 3) & ~hidden[:, -1]
        return int(np.flatnonzero(passes)[0])

    def believed(self, model):
        """The position that a probe reads from what was rolled out, at each step ahead: (N, K) of the held-out films."""
        fit, test = self.look(model, self.probed)[1], self.look(model, self.held_out)[1]
        return self.believe(fit, test)


def window_seen(hidden):
    """(N, T) hidden -> (N, T − 2): whether the ball is seen, in part at least, in each frame of the window."""
    return ~(hidden[:, :-2] | hidden[:, 1:-1] | hidden[:, 2:])
