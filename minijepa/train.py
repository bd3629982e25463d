"""The one training loop, for every world, and its command line."""

import json
import math
import os
import sys
import time

import numpy as np

from minijepa import checkpoint
from minijepa.jepa import TREATMENTS
from minijepa.losses import SIGReg, VICReg, no_regularizer
from minijepa.optimizers import SGD, Adam
from minijepa.options import Option, Parser, UserError, choice, flag, number, resolve, run, whole
from minijepa.worlds import WORLDS

OPTIONS = {
    "epochs": Option(60, whole(1), "passes over the training data, counted from the very start"),
    "batch_size": Option(32, whole(1), "examples a step"),
    "learning_rate": Option(3e-3, number(0, exclude_low=True), "of the optimizer"),
    "optimizer": Option("adam", choice("adam", "sgd"), "adam, or sgd with momentum 0.9"),
    "target": Option("ema", choice(*TREATMENTS), "the target branch: " + ", ".join(TREATMENTS)),
    "momentum": Option(0.99, number(0, 1), "τ of the EMA: target = τ·target + (1 − τ)·online"),
    "regularizer": Option("none", choice("none", "vicreg", "sigreg"),
                          "none, vicreg or sigreg: on every encoder output that receives gradient"),
    "variance_weight": Option(1.0, number(0), "of VICReg's variance hinge"),
    "covariance_weight": Option(0.2, number(0), "of VICReg's covariance penalty"),
    "sigreg_weight": Option(0.1, number(0), "of SIGReg"),
    "decay": Option(0.0, number(0, 1), "the last part of the training, over which the learning rate falls to 0"),
    "dtype": Option("float32", choice("float32", "float64"), "float32 or float64"),
    "seed": Option(0, whole(0, 2**64), "of the one random generator"),
}


def options_of(world):
    """The options of a world: the loop's with the world's defaults, and its own."""
    common = {name: Option(world.defaults.get(name, option.default), option.read, option.help)
              for name, option in OPTIONS.items()}
    return {**common, **world.options}


def world_named(name):
    """The class of the world of that name. Raises UserError."""
    if name not in WORLDS:
        raise UserError(f"there is no world {name!r}: wanted {', '.join(WORLDS)}")
    return WORLDS[name]


def plain(value):
    """What stands for a setting in a checkpoint or in --json: a text its digest, not its path."""
    return getattr(value, "digest", value)


def regularizer_of(config, rng):
    """The regularizer that a config asks for. Raises UserError."""
    if config["regularizer"] == "vicreg":
        if config["batch_size"] == 1:
            raise UserError("--regularizer vicreg: wanted a --batch-size of at least 2, since one latent has no variance")
        return VICReg(config["variance_weight"], config["covariance_weight"])
    return SIGReg(rng, config["sigreg_weight"]) if config["regularizer"] == "sigreg" else no_regularizer


def step(model, optimizer, x, y):
    """One step of training: the loss from before it, from which nothing is learned unless it is finite."""
    loss, backward = model.forward(x, y)
    if math.isfinite(loss):
        model.grad[:] = 0
        backward()
        optimizer.step()
        model.update_target()
    return float(loss)


class Training:
    """A training run: the world, the model, the optimizer, the generator, and the epochs done."""

    def __init__(self, world, config, rng):
        self.world, self.config, self.rng = world, config, rng
        self.model = world.build(config, rng, regularizer_of(config, rng))
        vectors = self.model.value, self.model.grad
        if config["optimizer"] == "adam":
            self.optimizer = Adam(*vectors, config["learning_rate"])
        else:
            self.optimizer = SGD(*vectors, config["learning_rate"], momentum=0.9)
        self.epoch = 0
        self.loss = self.epoch_loss(np.random.default_rng(0), learn=False)     # of the untrained model
        self.finished = self.state()

    @classmethod
    def start(cls, world, given):
        """A new run of a world, or of the world of that name; `given` are the options that differ."""
        kind = world_named(world) if isinstance(world, str) else type(world)
        config = resolve(options_of(kind), given)
        rng = np.random.default_rng(config["seed"])
        if isinstance(world, str):
            world = kind(rng, **config)
        return cls(world, {"world": kind.name, **{name: plain(value) for name, value in config.items()}}, rng)

    @classmethod
    def load(cls, path, name):
        """The run that a checkpoint of this world holds. Raises UserError."""
        parameters, state = checkpoint.load(path)
        try:
            config = json.loads(str(state["config"]))
            if config["world"] != name:
                raise UserError(f"{path} is of the world {config['world']}, not {name}")
            for key, option in options_of(WORLDS[name]).items():
                if option.default is not None:         # else it is a file's digest, or None
                    config[key] = option.read(config[key])
            world = WORLDS[name].restore(checkpoint.under(state, "world/"))
            training = cls(world, config, np.random.default_rng(0))
            checkpoint.fill(path, training.parameters(), parameters)
            checkpoint.fill(path, training.optimizer.state, checkpoint.under(state, "optimizer/"))
            if training.optimizer.state.get("t", 0) < 0:
                raise ValueError("t < 0")
            training.rng.bit_generator.state = json.loads(str(state["rng"]))
            training.epoch, training.loss = int(state["epoch"]), float(state["loss"])
        except UserError:
            raise
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
            raise UserError(f"{path} is damaged, and is not loaded ({error!r})") from None
        training.finished = training.state()
        return training

    @classmethod
    def resume(cls, path, name, given):
        """Go on from a checkpoint. Its configuration rules: `given` may only raise the epochs."""
        training = cls.load(path, name)
        resolved = resolve(options_of(WORLDS[name]), given)
        for option in given:
            value, stored = plain(resolved[option]), training.config[option]
            if option != "epochs" and value != stored:
                raise UserError(f"{flag(option)} {given[option]} contradicts {path}, "
                                f"which was trained with {stored}: leave it out")
        epochs = resolved["epochs"] if "epochs" in given else training.config["epochs"]
        if epochs <= training.epoch:
            raise UserError(f"{path} has {training.epoch} epochs done already: give --epochs above that")
        if epochs != training.config["epochs"] and training.config["decay"] > 0:
            raise UserError(f"{path} was planned for {training.config['epochs']} epochs, over which its learning rate "
                            f"falls: --epochs {epochs} is another training; leave it out")
        training.config["epochs"] = epochs
        return training

    def parameters(self):
        return {name: parameter.value for name, parameter in self.model.named_parameters().items()}

    def state(self):
        """What a checkpoint keeps, copied: the parameters, and all else that a continuation needs."""
        parameters = {name: value.copy() for name, value in self.parameters().items()}
        optimizer = {f"optimizer/{name}": value.copy() for name, value in self.optimizer.state.items()}
        world = {f"world/{name}": value for name, value in self.world.state().items()}
        return parameters, {"config": json.dumps(self.config), "epoch": self.epoch, "loss": self.loss,
                            "rng": json.dumps(self.rng.bit_generator.state), **optimizer, **world}

    def epoch_loss(self, rng, learn=True):
        """One epoch, learning from it unless told otherwise: the mean loss of its examples."""
        total = count = 0
        with np.errstate(over="ignore", invalid="ignore"):                     # what diverges is found below
            for batch, (x, y) in enumerate(self.world.batches(self.config["batch_size"], rng), 1):
                if learn:
                    loss = step(self.model, self.optimizer, x, y)
                else:
                    loss = float(self.model.forward(x, y)[0])
                if not math.isfinite(loss):
                    self.diverged(self.epoch + 1, f"step {batch}")
                total, count = total + loss * y.shape[1], count + y.shape[1]
        return total / count

    def learning_rate(self):
        """Of the next epoch: constant, but for a linear fall over the last part, `decay`, of all epochs."""
        left = self.config["epochs"] - self.epoch
        falling = self.config["decay"] * self.config["epochs"]
        return self.config["learning_rate"] * (min(1, left / falling) if falling else 1)

    def row(self):
        """Where the run stands: epoch, loss, and what the world measures."""
        with np.errstate(over="ignore", invalid="ignore"):
            row = {"epoch": self.epoch, "loss": self.loss, **self.world.measure(self.model)}
        if not all(map(math.isfinite, row.values())):
            self.diverged(self.epoch, "its end")
        return row

    def rows(self, progress=lambda training: None):
        """Train: yields the row of epoch 0 (or of where the run was resumed) and about ten more."""
        yield self.row()
        every = math.ceil(self.config["epochs"] / 10)
        while self.epoch < self.config["epochs"]:
            self.optimizer.learning_rate = self.learning_rate()
            loss = self.epoch_loss(self.rng)
            self.loss, self.epoch = loss, self.epoch + 1
            self.finished = self.state()
            progress(self)
            if self.epoch % every == 0 or self.epoch == self.config["epochs"]:
                yield self.row()

    def diverged(self, epoch, place):
        raise UserError(f"the loss stopped being finite in epoch {epoch} at {place}: "
                        f"lower --learning-rate (it was {self.config['learning_rate']:g})")


def train(world="words", config=None):
    """Train in a world (its name, or one that was made): (model, history).

    config: the options of `python -m minijepa.train --help` that differ from their defaults,
    as in {"epochs": 30, "learning_rate": 1e-3}. history: a dict for each printed row.
    Raises UserError, a ValueError, for a config that cannot be used.
    """
    training = Training.start(world, config or {})
    history = list(training.rows())
    return training.model, history


def main(argv=None):
    argv = sys.argv[1:] if argv is None else list(argv)
    name = argv.pop(0) if argv and not argv[0].startswith("-") else "words"
    world = world_named(name)
    parser = Parser(f"minijepa.train{'' if name == 'words' else ' ' + name}",
                    f"Train a JEPA in the world of {name} (worlds: {', '.join(WORLDS)}; "
                    "name one first, words is the default).")
    parser.add_options(options_of(world))
    parser.add_argument("--save", metavar="FILE", help="write the trained model here (.npz)")
    parser.add_argument("--resume", metavar="FILE", help="go on training a saved model")
    parser.add_argument("--json", metavar="FILE", help="write the config, the rows and the result here")
    parser.add_argument("--plot", metavar="FILE", help="draw what was learned (.svg, .png, …; needs matplotlib)")
    parser.add_argument("--quiet", action="store_true", help="print nothing")
    if world.comparisons:
        parser.add_argument("--compare", action="store_true",
                            help=f"train also, for comparison: {', '.join(world.comparisons)}")
    for extra, text in world.extras.items():
        parser.add_argument(f"--{extra}", action="store_true", help=text)
    given = vars(parser.parse_args(argv))
    save, resume, to_json, to_plot, quiet = (given.pop(key) for key in ("save", "resume", "json", "plot", "quiet"))
    compare = world.comparisons if given.pop("compare", False) else {}
    extras = [extra for extra in world.extras if given.pop(extra)]
    if to_plot is not None:
        from minijepa import figures                   # the one file that needs matplotlib

        figures.need(to_plot)

    for path, others in ((save, [to_json, to_plot, *given.values()]), (to_json, [to_plot, resume, *given.values()]),
                         (to_plot, [resume, *given.values()])):
        if path is not None:
            checkpoint.check_writable(path)
            if os.path.realpath(path) in [os.path.realpath(other) for other in others if other is not None]:
                raise UserError(f"{path} is named twice, and would be overwritten: name another file")
    training = Training.resume(resume, name, given) if resume is not None else Training.start(name, given)

    say = (lambda *args, **kwargs: None) if quiet else print
    columns = {"epoch": ("epoch", "d"), "loss": ("loss", ".4f"), **training.world.columns}
    say(f"{name}: {training.world.describe()}")
    say("  ".join(f"{heading:>6}" for heading, _ in columns.values()), flush=True)

    def progress(training):
        say(f"\repoch {training.epoch} of {training.config['epochs']}, loss {training.loss:.4f} ",
            end="", flush=True)

    def compared(label):
        """Another model, trained in the same way but for what the world's comparison says."""
        other = Training.start(name, {**given, **world.comparisons[label]})
        for _ in other.rows(progress if sys.stdout.isatty() else lambda training: None):
            pass
        return other.model

    started, history = time.perf_counter(), []
    try:
        for row in training.rows(progress if sys.stdout.isatty() else lambda training: None):
            cells = (f"{row[key]:>{max(6, len(heading))}{form}}" for key, (heading, form) in columns.items())
            say(("\r\033[K" if sys.stdout.isatty() else "") + "  ".join(cells), flush=True)
            history.append(row)
        seconds = time.perf_counter() - started
        others = {label: compared(label) for label in compare}
        text, findings = training.world.report(training.model, training.config, others)
        say(("\r\033[K" if others and sys.stdout.isatty() else "") + text)
        for extra in extras:
            say(getattr(training.world, extra)(training.model))
        if save is not None:
            checkpoint.save(save, *training.finished)
    except (KeyboardInterrupt, OSError):               # Ctrl-C, or nobody reads the output any more
        done = training.finished[1]["epoch"]
        if save is not None and done > 0:
            checkpoint.save(save, *training.finished)
        say(f"\nstopped; {done} epochs are done", flush=True)
        if save is not None and done > 0:
            say(f"saved to {save}; go on with --resume {save}", flush=True)
        raise
    if to_json is not None:
        result = {**{key: value for key, value in history[-1].items() if key != "epoch"}, **findings}
        report = {"config": training.config, "history": history, "result": result, "seconds": seconds}
        checkpoint.write_file(to_json, lambda file: file.write(json.dumps(report, indent=1).encode() + b"\n"))
    if to_plot is not None:
        figures.plot_training(training, history, others, to_plot)


if __name__ == "__main__":
    run(main)
