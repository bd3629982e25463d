"""Video: a ball rolls behind a chair, is hidden, and should come out where physics says.

A strip of 24 pixels; the ball, 3 pixels wide, keeps its speed and bounces off the ends; the chair
covers pixels 9 to 14, always. The ball glitters: in each frame, with probability q, it is bright or
dark by chance, so that where it is can be predicted and what it looks like cannot. Beside the strip
four lamps flicker at random. x is a window of 3 frames; y are the 12 windows that follow, each one
frame further on.
"""

import numpy as np

from minijepa.gauges import collapse_gauges, linear_probe, r_squared, rmse
from minijepa.jepa import JEPA
from minijepa.layers import Sequential, perceptron
from minijepa.modules import Module
from minijepa.options import Option, choice, number, table, whole
from minijepa.predictors import Residual, Rollout
from minijepa.worlds.base import COLLAPSE, World
from minijepa.worlds.films import (AHEAD, BALL, CHAIR, FRAME, LAMPS, WIDTH, WINDOW, pairs, passing,
                                   roll, shoot)

STEPS = 50                                   # batches in an epoch: every one of new films
PROBED = 1000                                # films that probes are fitted on, and as many held out


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


class Bottleneck:
    """The pixel predictor's narrowest layer in the place of a latent: a second look at it."""

    def __init__(self, model):
        self.model, self.encoder = model, Sequential(*model.predictor.net.net.layers[:3])

    def encode_target(self, y):
        return self.encoder.forward(y)

    def predict(self, x):
        return self.encoder.forward(self.model.predict(x)[0])


class Video(World):
    """The video world. An epoch is 50 batches of films that were never seen before."""

    name = "video"
    about, seconds = "a ball rolls behind a chair: where is it while nobody sees it?", 20
    options = {
        "q": Option(1.0, number(0, 1), "the dial: how often the sign of the ball is random"),
        "hidden_dim": Option(256, whole(1), "hidden units of the encoder and the predictor"),
        "latent_dim": Option(32, whole(1), "dimensions of the latents"),
        "predict": Option("latents", choice("latents", "pixels"), "pixels: of the next frame"),
    }
    defaults = {"epochs": 60, "batch_size": 64, "learning_rate": 4e-3, "treatment": "joint",
                "regularizer": "vicreg", "covariance_weight": 0.05, "decay": 0.9}
    comparisons = {"pixel predictor": {"predict": "pixels"}}
    extras = {"show": "play a held-out film: reality above, what the latent believes below"}
    columns = {**COLLAPSE, "hidden_rmse": ("hidden px", ".3f"),
               "behind_rmse": ("all hidden px", ".3f"), "reappear_rmse": ("reappears px", ".3f"),
               "position_rmse": ("visible px", ".3f"), "velocity_r2": ("velocity R²", ".3f"),
               "lamps_r2": ("lamps R²", ".3f")}
    probed = "encoder (first three: rolled-out latents)"
    handmade = {"raw input after abs()": np.abs}
    dial = {"hidden_rmse": -1, "reappear_rmse": -1, "position_rmse": -1}
    ahead = AHEAD

    def prepare(self, rng):
        self.probed_films, self.held_out = (self.films(PROBED, rng) for _ in range(2))
        self.film = passing(self.held_out)[0][0]       # the one that is shown

    def films(self, count, rng):
        return shoot(*roll(count, WINDOW + AHEAD, rng), rng, self.config["q"], self.config["dtype"])

    def describe(self):
        return (f"a strip of {WIDTH} pixels and {LAMPS} lamps; {WINDOW} frames are seen, {AHEAD} "
                f"windows predicted; {STEPS} batches of new films an epoch, {PROBED} held out")

    def build(self, config, rng, regularizer):
        hidden, latent, dtype = config["hidden_dim"], config["latent_dim"], config["dtype"]

        def net(inputs, outputs):
            return perceptron(inputs, hidden, outputs, rng, np.dtype(dtype))

        def new_encoder():
            return perceptron(WINDOW * FRAME, hidden, latent, rng, np.dtype(dtype), reads_data=True)

        if config["predict"] == "pixels":
            nothing = Sequential()                     # the "latent" of a window is the window
            frame = Sequential(*net(WINDOW * FRAME, latent).layers, *net(latent, FRAME).layers)
            return JEPA(nothing, nothing, Rollout(NextFrame(frame), AHEAD), "stopgrad")
        encoder = new_encoder()
        target = encoder if config["treatment"] == "joint" else new_encoder()
        step = Residual(net(latent, latent))           # from frame to frame little changes
        return JEPA(encoder, target, Rollout(step, AHEAD), config["treatment"], config["tau"],
                    regularizer)

    def batches(self, size, rng):
        for _ in range(STEPS):
            windows = self.films(size, rng).windows.transpose(1, 0, 2)         # (1 + K, B, 3·FRAME)
            yield np.ascontiguousarray(windows[0]), np.ascontiguousarray(windows[1:]), None

    def measure(self, model):
        """The gauges over the rolled-out latents and their targets, and what `probe` reads."""
        encoded, rolled = self.latents(model, self.held_out)
        return {**collapse_gauges(rolled, encoded[:, 1:]), **self.probe(model)}

    def latents(self, model, films):
        """Of all windows (N, 1 + K, latent), and those rolled out from the first (N, K, latent)."""
        windows = films.windows
        rolled = model.predict(np.ascontiguousarray(windows[:, 0]))[0]         # (K, N, latent)
        return model.encode_target(windows)[0], rolled.transpose(1, 0, 2)

    def probe(self, model, rolled=True):
        """What linear probes read, fitted on one set of films and measured on the other.

        Of windows in which the ball is seen: position_rmse (pixels), velocity_r2; of all: lamps_r2.
        Of what is rolled out from a window in which the ball is seen, with a probe for each step:
        hidden_rmse while it is hidden, behind_rmse where it is in no frame of the window,
        reappear_rmse in the first frame in which it is back (pixels).
        """
        probed, films = self.probed_films, self.held_out
        (fit, fit_rolled), (test, test_rolled) = (self.latents(model, each)
                                                  for each in (probed, films))
        if not rolled:
            fit_rolled, test_rolled = fit[:, 1:], test[:, 1:]
        (fit_seen, _), (seen, behind) = probed.in_windows(), films.in_windows()

        def read(what, score, fit_among, among):
            fit_y, y = (what(each)[:, WINDOW - 1:] for each in (probed, films))  # newest frame
            return score(y[among], linear_probe(fit[fit_among], fit_y[fit_among])(test)[among])

        everywhere = np.ones_like(seen)
        believed, truth = self.positions(fit_rolled, test_rolled), films.position[:, WINDOW:]
        hidden, was_hidden = films.hidden[:, WINDOW:], films.hidden[:, WINDOW - 1:-1]
        at = {"hidden_rmse": hidden, "behind_rmse": behind[:, 1:],
              "reappear_rmse": was_hidden & ~hidden}
        at = {key: place & seen[:, :1] for key, place in at.items()}
        return {**{key: rmse(truth[place], believed[place]) for key, place in at.items()},
                "position_rmse": read(lambda films: films.position, rmse, fit_seen, seen),
                "velocity_r2": read(lambda films: films.velocity, r_squared, fit_seen, seen),
                "lamps_r2": read(lambda films: films.frames[:, :, WIDTH:], r_squared, everywhere,
                                 everywhere)}

    def more_probes(self, model, others):
        return {"this model, not rolled out": self.probe(model, rolled=False),
                **{f"{label}, bottleneck": self.probe(Bottleneck(each))
                   for label, each in others.items() if isinstance(each.predictor.net, NextFrame)}}

    def positions(self, fit, test):
        """Of the ball, by a probe for each step ahead: two (N, K, D)  ->  (N, K), in pixels.

        Fitted on rolled-out latents: one fitted on latents of what is seen would transfer badly.
        """
        seen, position = self.probed_films.in_windows()[0][:, 0], self.probed_films.position
        return np.stack([linear_probe(fit[seen, k], position[seen, WINDOW + k])(test[:, k])
                         for k in range(AHEAD)], axis=1)

    def untrained(self, config):
        return super().untrained({**config, "predict": "latents"})

    def probed_input(self):
        return self.probed_films.windows.reshape(-1, WINDOW * FRAME)

    def show(self, model, others):
        """A film in which the ball passes behind the chair: truth and belief, a line a frame."""
        belief, films = self.believed(model)[self.film], self.held_out
        truth, hidden = films.position[self.film, WINDOW:], films.hidden[self.film, WINDOW:]
        partly = (CHAIR.start - BALL / 2 < truth) & (truth < CHAIR.stop + BALL / 2)
        said = np.where(hidden, "  hidden", np.where(partly, "  partly hidden", ""))
        lines = ["o reality, x what the latent believes, ▒ the chair; the model saw only the first "
                 "three frames", "step  " + " " * WIDTH + "  px off"]
        empty = ["▒" if CHAIR.start <= pixel < CHAIR.stop else "·" for pixel in range(WIDTH)]

        def strip(place, ball):
            place = int(np.clip(place, 0, WIDTH - 1))
            return "".join([*empty[:place], ball, *empty[place + 1:]])

        for k, (true, believed, how) in enumerate(zip(truth, belief, said), 1):
            lines += [f"{k:>4}  {strip(true, 'o')}{how}",
                      f"      {strip(believed, 'x')}  {believed - true:+.2f}"]
        lines += ["the energy of each step of this film, and were it to go on otherwise"]
        lines += [f"{kind:<16}" + "".join(f"{step:6.2f}" for step in steps[0])
                  for kind, steps in self.energies(model).items()]
        return "\n".join(lines)

    def plot_path(self, axes, model, others):
        """Truth and belief over time for one held-out film, through the occlusion."""
        axes.axhspan(CHAIR.start, CHAIR.stop, color="#dddddd", label="behind the chair")
        axes.plot(np.arange(-WINDOW + 1, AHEAD + 1), self.held_out.position[self.film], "k-",
                  marker="", label="truth")
        for label, each in {"JEPA: rolled-out latent": model, **others}.items():
            axes.plot(np.arange(1, AHEAD + 1), self.believed(each)[self.film], label=label)
        axes.axvline(0.5, color="#888888", lw=0.8, ls=":", marker="")
        axes.text(0.5, 0.3, "seen   predicted", ha="center")
        axes.set(xlabel="frames ahead", ylabel="position of the ball (pixels)", ylim=(0, WIDTH),
                 title="a ball rolls behind a chair")

    def believed(self, model):
        """Where the rolled-out latents say the ball is: (N, K) of the held-out films."""
        return self.positions(*(self.latents(model, films)[1]
                                for films in (self.probed_films, self.held_out)))

    def animate(self, axes, model, others):
        """Three films: reality, where the latent has the ball, and what is painted in its place."""
        films, first = self.held_out, range(WINDOW)
        place = np.concatenate([films.position[:, first], self.believed(model)], axis=1)  # (N, T)
        strips = {"reality": films.frames, "JEPA: where its latent has the ball": None}
        for label, each in others.items():
            painted = self.latents(each, films)[1][:, :, -FRAME:]              # (N, K, FRAME)
            strips[f"{label}: what it paints"] = np.append(films.frames[:, first], painted, axis=1)
        for film in passing(films)[0][:3]:
            for t, truth in enumerate(films.position[film]):
                axes.clear()
                for row, (title, frames) in enumerate(strips.items()):
                    y = -5 * row                       # the middle of the strip
                    picture = frames[film, t, :WIDTH] if frames is not None else np.zeros(WIDTH)
                    axes.imshow(picture[None], "gray", vmin=-1, vmax=1,
                                extent=(0, WIDTH, y - 1.5, y + 1.5))
                    axes.fill_between([CHAIR.start, CHAIR.stop], y - 1.5, y + 1.5, color="#e69f00",
                                      alpha=0.5 if frames is None else 1)
                    axes.plot(truth, y, "o", markersize=50, mfc="none", mec="k", ls="", mew=0.8)
                    axes.text(0, y + 1.8, title)
                axes.plot(place[film, t], -5, "o", markersize=44, color="#0072b2")
                axes.text(12, 0, "chair", ha="center", va="center")
                axes.set(xlim=(0, WIDTH), ylim=(y - 1.6, 3), aspect="equal")
                said = f"predicted, {t - WINDOW + 1} frames ahead (ring: the truth)"
                axes.set_title("seen" if t < WINDOW else said, loc="left", fontsize=10)
                axes.axis("off")
                yield

    # --- surprise --------------------------------------------------------------------------------

    def energies(self, model):
        """{kind: (n, K)}: the energy of each step of films that pass, and of impossible ones."""
        kinds = pairs(self.held_out, self.seed, self.config["q"])
        both = {kind: self.latents(model, films) for kind, films in kinds.items()}
        return {kind: ((rolled - encoded[:, 1:]) ** 2).mean(axis=2)
                for kind, (encoded, rolled) in both.items()}

    def surprise(self, model):
        """{kind: in what share of the pairs is the impossible film's energy higher; how much?}"""
        energies = {kind: steps.sum(axis=1) for kind, steps in self.energies(model).items()}
        times = {kind: energy / energies["possible"] for kind, energy in energies.items()}
        return {kind: {"pairs": float(np.mean(ratio > 1)), "times": float(np.median(ratio))}
                for kind, ratio in times.items() if kind != "possible"}

    def report(self, model, config, others):
        text, findings = super().report(model, config, others)
        rows = {f"{label}: {kind}": numbers
                for label, each in {"this model": model, **others}.items()
                for kind, numbers in self.surprise(each).items()}
        surprise = table("the impossible film has the higher energy", rows,
                         {"pairs": ("pairs", ".1%"), "times": ("times the energy", ".2f")})
        return f"{text}\n{surprise}", {**findings, "surprise": rows}

    def plot_surprise(self, axes, model, others):
        """The energy of each step of the first film, as physics says and otherwise."""
        for kind, steps in self.energies(model).items():
            axes.plot(np.arange(1, AHEAD + 1), steps[0], label=kind)
        axes.set(xlabel="frames ahead", ylabel="energy", title="is the impossible a surprise?")

    plots = plot_path, plot_surprise
