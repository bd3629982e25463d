"""A world: what is seen, what is hidden, and how one knows that something was learned.

A new world is a class with these members; all else below has a default that works.

    name, columns                     its name; what measure() returns: {key: (title, format)}
    build(config, rng, regularizer)   the untrained JEPA
    batches(size, rng)                one epoch of (x, y, z): what is seen, the targets, an array
                                      (K, B, …), and what the predictor is told, (K, B, …) or None
    measure(model)                    {key: number} on held-out data; draws nothing at random
"""

import operator

import numpy as np

from minijepa.gauges import principal_components
from minijepa.losses import no_regularizer
from minijepa.options import TRAINING, Option, UserError, resolve, table

COLLAPSE = {"relative_loss": ("relative loss", ".4f"), "std": ("std", ".4f"),
            "effective_rank": ("effective rank", ".2f")}   # the columns of `collapse_gauges`


class World:
    """A world that is drawn from a seed: `prepare(rng)` draws once what it needs.

    World(rng, **options) is one with the options that differ from their defaults; self.config
    holds all of them. Raises UserError for an option that there is not, or a bad value.
    """

    name = None
    defaults = {}            # its own defaults for the options of the training
    options = {}             # its own options: {name: Option}
    columns = {}
    about, seconds = "", 0   # in a line: what it shows; how long it trains, on one core
    comparisons = {}         # {label: options} of models to hold it against (`--compare`)
    probed = "encoder"       # in words: which encoder `probe` probes
    handmade = {}            # {label: function of the raw input}: features made by hand
    guess = "the mean"       # what a probe that is given nothing predicts
    ahead = 1                # K, where nothing is told
    extras = {}              # {flag: help} of methods (model, others) that return a text to print
    plots = ()               # methods (axes, model, others): each draws something that it learned
    animate = None           # method (axes, model, others): draws a frame, yields, draws the next
    dial = {}                # {key: 1 or −1} of what `dialled` gives, to show: is more better?

    def __init__(self, rng=None, **given):
        rng = np.random.default_rng(0) if rng is None else rng
        self.given = given
        self.take(resolve(self.all_options(), given), int(rng.integers(2**62)))

    @classmethod
    def all_options(cls):
        """The options of the training with this world's defaults, and its own."""
        common = {name: Option(cls.defaults.get(name, option.default), option.read, option.help)
                  for name, option in TRAINING.items()}
        return {**common, **cls.options}

    def take(self, config, seed):
        """Be the world of this config and this seed."""
        self.config, self.seed = config, seed
        self.prepare(np.random.default_rng(seed))

    def configure(self, config):
        """The same world under another config."""
        self.take(config, self.seed)

    def state(self):
        """What a checkpoint keeps of it, beside the config: {name: array}."""
        return {"seed": self.seed}

    @classmethod
    def restore(cls, state, config):
        """The world that was kept. Raises UserError where only `state` is the world's own."""
        if cls.state is not World.state and cls.restore.__func__ is World.restore.__func__:
            raise UserError(f"the world {cls.name} lacks the method restore(state, config), "
                            "which undoes its state()")
        world = cls.__new__(cls)
        world.given = {}
        world.take(config, operator.index(state["seed"]))
        return world

    # --- what a world is -------------------------------------------------------------------------

    def prepare(self, rng):
        """Draw what stays the same: held-out data, what probes are fitted on."""

    def describe(self):
        """What is trained on, in a line."""
        return (type(self).__doc__ or "a world").strip().splitlines()[0]

    def schedule(self, model, done):
        """Before each epoch: change what changes in the course of the training (done: 0 to 1)."""

    # --- how do I know that it learned anything? -------------------------------------------------

    def raw(self, x):
        """What is seen, or a target, as an array of numbers (..., D)."""
        return x

    def probed_input(self):
        """The raw input (N, D) that PCA is fitted on."""
        raise NotImplementedError

    def probe(self, model):
        """{key of columns: number}: what linear probes read from a model's latents, held out.

        The model is a JEPA, or a function of the input in its place (`Features`).
        """
        return {}

    def dialled(self, model):
        """{key: number} that the dial shows: what `probe` reads, or what is too slow for a row."""
        return self.probe(model)

    def untrained(self, config):
        """The model before its training."""
        return self.build(config, np.random.default_rng(config["seed"]), no_regularizer)

    def baselines(self, config):
        """{label: function of the raw input}: what the probes are held against."""
        width = config["latent_dim"]
        project = principal_components(self.probed_input(), width)
        return {f"PCA of the input to {width}": project, "raw input": lambda x: x, **self.handmade,
                self.guess: lambda x: np.zeros((*x.shape[:-1], 1), x.dtype)}

    def probes(self, model, config, others):
        """The same probe on this model, those compared, the untrained one and the baselines."""
        models = {"this model": model, **others, "untrained encoder": self.untrained(config)}
        for label, function in self.baselines(config).items():
            models[label] = Features(self, function)
        return {**{label: self.probe(each) for label, each in models.items()},
                **self.more_probes(model, others)}

    def more_probes(self, model, others):
        """Further rows of the table: {label: what `probe` gives}."""
        return {}

    def report(self, model, config, others):
        """What the model has learned: a text, and numbers for --json."""
        if type(self).probe is World.probe:
            return "", {}
        rows = self.probes(model, config, others)
        columns = {key: self.columns[key] for key in self.columns if key in rows[self.guess]}
        what = f"held out, linear probe of the {self.probed}"
        return table(what, rows, columns), {"probes": rows}


class Features:
    """A function of the raw input in a model's place: it predicts that what is seen stays."""

    def __init__(self, world, function):
        self.world, self.function = world, function

    def encode_context(self, x):
        return self.function(self.world.raw(x)), None

    encode_target = encode_context

    def predict(self, x, z=None):
        s_x, _ = self.encode_context(x)
        return np.broadcast_to(s_x, (self.world.ahead if z is None else len(z), *s_x.shape)), None


def two_encoders(config):
    """Raise UserError where an average is asked for in a world whose encoders see other things."""
    if config["treatment"] == "ema":
        raise UserError("--treatment: wanted stopgrad or joint, since the two encoders of this "
                        "world are not alike; was given 'ema'")


def check_members(world):
    """Raise UserError where a class lacks what a world must have."""
    for member in ("name", "columns"):
        if not getattr(world, member):
            raise UserError(f"the world {world.__name__} lacks {member}")
    for member in ("build", "batches", "measure"):
        if not callable(getattr(world, member, None)):
            raise UserError(f"the world {world.__name__} lacks the method {member}")


def check_batch(name, model, batch):
    """Raise UserError, saying what is wanted, unless the model can take what `batches` gave."""
    if not isinstance(batch, tuple) or len(batch) != 3:
        size = f" of {len(batch)}" if isinstance(batch, tuple) else ""
        raise UserError(f"{name}.batches: wanted (x, y, z), z None where nothing is told; "
                        f"was given {type(batch).__name__}{size}")
    x, y, z = batch
    if not isinstance(y, np.ndarray) or y.ndim < 2:
        given = np.shape(y) if isinstance(y, np.ndarray) else type(y).__name__
        raise UserError(f"{name}.batches: wanted y as an array (K, B, …), K targets for each of "
                        f"the B examples; was given {given}")
    try:
        predictions, s_y = model.predict(x, z)[0], model.encode_target(y)[0]
    except (ValueError, TypeError, IndexError) as error:
        raise UserError(f"{name}: its model cannot take its batches: {error}") from None
    if predictions.shape[1] != y.shape[1] or s_y.shape[:2] != y.shape[:2]:
        raise UserError(f"{name}: wanted predictions (K, B, latent) for y {y.shape}; "
                        f"the model gives {predictions.shape}, and targets {s_y.shape}")
