"""The one training loop, for every world."""

import json
import math
import operator

import numpy as np

from minijepa import checkpoint
from minijepa.losses import SIGReg, VICReg, no_regularizer
from minijepa.optimizers import SGD, Adam
from minijepa.options import UserError, flag, resolve
from minijepa.worlds import world_class
from minijepa.worlds.base import check_batch


def train_epoch(world, model, optimizer, batch_size, rng):
    """One epoch of training: yields each step's loss, from before it, and the size of its batch."""
    for x, y, z in world.batches(batch_size, rng):
        loss, backward = model.forward(x, y, z)
        model.grad[:] = 0
        backward()
        optimizer.step()
        model.update_target()
        yield float(loss), y.shape[1]


def untrained_epoch(world, model, batch_size, rng):
    """The same, and nothing is learned; the first batch is checked: does it keep the promise?"""
    for number, batch in enumerate(world.batches(batch_size, rng)):
        if number == 0:
            check_batch(world.name, model, batch)
        x, y, z = batch
        yield float(model.forward(x, y, z)[0]), y.shape[1]


def train(world="words", config=None):
    """Train in a world (its name, or one that was made): (model, history).

    config: the options of `python -m minijepa.train --help` that differ from their defaults,
    as in {"epochs": 30, "learning_rate": 1e-3}. history: a dict for each printed row.
    Raises UserError, a ValueError, for a config that cannot be used.
    """
    training = Training.start(world, config or {})
    history = list(training.rows())
    return training.model, history


class Training:
    """A training run: the world, the model, the optimizer, the generator, and the epochs done."""

    def __init__(self, world, config, rng):
        self.world, self.config, self.rng = world, config, rng
        self.model = world.build(config, rng, regularizer_of(config, rng))
        if config["optimizer"] == "adam":
            self.optimizer = Adam(*self.model.trained(), config["learning_rate"])
        else:
            self.optimizer = SGD(*self.model.trained(), config["learning_rate"], momentum=0.9)
        self.kept = {f"world/{name}": x for name, x in world.state().items()}
        self.epoch, self.loss = 0, math.nan            # nothing is measured yet
        self.finished = self.state()

    @classmethod
    def start(cls, world, given):
        """A new run of a world, or of the one of that name; `given` are the options that differ."""
        made = not isinstance(world, (str, type))
        kind = type(world) if made else world_class(world)
        config = resolve(kind.all_options(), {**world.given, **given} if made else given)
        rng = np.random.default_rng(config["seed"])
        if made:
            world.configure(config)
        else:
            world = kind(rng, **config)
        kept = {name: plain(value) for name, value in config.items()}
        return cls(world, {"world": kind.name, **kept}, rng)

    def rows(self, progress=lambda training: None):
        """Train: yields the row of epoch 0 (or of where the run was resumed) and about ten more."""
        if self.epoch == 0:
            self.loss = self.mean_loss(untrained_epoch(
                self.world, self.model, self.config["batch_size"], np.random.default_rng(0)))
            self.finished = self.state()
        yield self.row()
        every = math.ceil(self.config["epochs"] / 10)
        while self.epoch < self.config["epochs"]:
            self.optimizer.learning_rate = self.learning_rate()
            self.world.schedule(self.model, self.epoch / self.config["epochs"])
            loss = self.mean_loss(train_epoch(
                self.world, self.model, self.optimizer, self.config["batch_size"], self.rng))
            self.loss, self.epoch = loss, self.epoch + 1
            if not all(np.isfinite(each).all()
                       for each in (self.model.value, *self.optimizer.state.values())):
                self.diverged(self.epoch, "its end")
            self.finished = self.state()
            progress(self)
            if self.epoch % every == 0 or self.epoch == self.config["epochs"]:
                yield self.row()

    def mean_loss(self, steps):
        """The mean loss over the examples of an epoch."""
        total = count = 0
        with np.errstate(over="ignore", invalid="ignore"):  # what diverges is found here
            for number, (loss, size) in enumerate(steps, 1):
                if not math.isfinite(loss):
                    self.diverged(self.epoch + 1, f"step {number}")
                total, count = total + loss * size, count + size
        if count == 0:
            raise UserError(f"{self.world.name}.batches: wanted at least one batch, was given none")
        return total / count

    def learning_rate(self):
        """Of the next epoch: constant, then falling linearly over the last part, `decay`."""
        left = self.config["epochs"] - self.epoch
        falling = self.config["decay"] * self.config["epochs"]
        return self.config["learning_rate"] * (min(1, left / falling) if falling else 1)

    def row(self):
        """Where the run stands: epoch, loss, and what the world measures."""
        with np.errstate(over="ignore", invalid="ignore"):
            measured = self.world.measure(self.model)
        wanted = self.world.columns.keys()
        if measured.keys() != wanted:
            raise UserError(f"{self.world.name}.measure: wanted {', '.join(wanted)}, "
                            f"as in its columns; was given {', '.join(measured)}")
        row = {"epoch": self.epoch, "loss": self.loss, **measured}
        if not all(map(math.isfinite, row.values())):
            self.diverged(self.epoch, "its end")
        return row

    def diverged(self, epoch, place):
        raise UserError(f"the loss stopped being finite in epoch {epoch} at {place}: "
                        f"lower --learning-rate (it was {self.config['learning_rate']:g})")

    # --- what a checkpoint keeps -----------------------------------------------------------------

    def parameters(self):
        return {name: part.value for name, part in self.model.named_parameters().items()}

    def state(self):
        """What a checkpoint keeps, copied: parameters, and all else that a continuation needs."""
        parameters = {name: value.copy() for name, value in self.parameters().items()}
        optimizer = {f"optimizer/{name}": x.copy() for name, x in self.optimizer.state.items()}
        rng = json.dumps(self.rng.bit_generator.state)
        return parameters, {"config": json.dumps(self.config), "rng": rng, "epoch": self.epoch,
                            "loss": self.loss, **optimizer, **self.kept}

    @classmethod
    def load(cls, path, world="words"):
        """The run that a checkpoint of this world (class or name) holds. Raises UserError."""
        kind = world_class(world)
        parameters, state = checkpoint.load(path)
        try:
            config = json.loads(str(state["config"]))
            if config["world"] != kind.name:
                raise UserError(f"{path} is of the world {config['world']}, not {kind.name}")
            for key, option in kind.all_options().items():
                if option.default is not None:         # else it is a file's digest, or None
                    config[key] = option.read(config[key])
                if key.endswith("_dim") and config[key] > sum(x.size for x in parameters.values()):
                    raise ValueError(f"{key} {config[key]}")
            restored = kind.restore(checkpoint.under(state, "world/"), config)
            training = cls(restored, config, np.random.default_rng(0))
            checkpoint.fill(path, training.parameters(), parameters)
            checkpoint.fill(path, training.optimizer.state, checkpoint.under(state, "optimizer/"))
            batch = next(iter(restored.batches(min(config["batch_size"], 8), training.rng)))
            with np.errstate(all="ignore"):
                if not math.isfinite(training.model.forward(*batch)[0]):
                    raise UserError(f"{path} is not loaded: the loss of its model is not finite")
            training.rng.bit_generator.state = json.loads(str(state["rng"]))
            training.epoch, training.loss = operator.index(state["epoch"]), float(state["loss"])
            steps = int(training.optimizer.state.get("t", 0))
            if not 0 <= training.epoch <= config["epochs"] or not 0 <= steps < 2**53:
                raise ValueError(f"epoch {training.epoch}, step {steps}")
        except UserError:
            raise
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError,
                RecursionError) as error:
            raise UserError(f"{path} is damaged, and is not loaded ({error!r})") from None
        training.finished = training.state()
        return training

    @classmethod
    def resume(cls, path, world, given):
        """Go on from a checkpoint. Its configuration rules: `given` may only raise the epochs."""
        training = cls.load(path, world)
        resolved = resolve(world_class(world).all_options(), given)
        for option in given:
            value, stored = plain(resolved[option]), training.config[option]
            if option != "epochs" and value != stored:
                raise UserError(f"{flag(option)} {given[option]} contradicts {path}, "
                                f"which was trained with {stored}: leave it out")
        planned = training.config["epochs"]
        epochs = resolved["epochs"] if "epochs" in given else planned
        if epochs <= training.epoch:
            raise UserError(f"{path} has {training.epoch} epochs done already: "
                            "give --epochs above that")
        if epochs != planned and training.config["decay"] > 0:
            raise UserError(f"{path} was planned for {planned} epochs, over which its learning "
                            f"rate falls: --epochs {epochs} is another training; leave it out")
        training.config["epochs"] = epochs
        return training


def plain(value):
    """What stands for a setting in a checkpoint or in --json: a text's digest, not its path."""
    return getattr(value, "digest", value)


def regularizer_of(config, rng):
    """The regularizer that a config asks for. Raises UserError."""
    if config["regularizer"] == "vicreg":
        if config["batch_size"] == 1:
            raise UserError("--regularizer vicreg: wanted a --batch-size of at least 2, "
                            "since one latent has no variance")
        return VICReg(config["variance_weight"], config["covariance_weight"])
    if config["regularizer"] == "sigreg":
        return SIGReg(rng, config["sigreg_weight"])
    return no_regularizer


if __name__ == "__main__":
    from minijepa.cli import main  # the command line is written around this file
    from minijepa.options import run

    run(main)
