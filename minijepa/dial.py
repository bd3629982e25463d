"""The dial: a world's model and the one it is compared with, as less and less of the look is known.

q is how much of what things look like is random. Each model is trained at each of a few learning
rates; what is shown is its best, by the median over the seeds of the first number.
"""

import sys

import numpy as np

from minijepa.cli import Screen, add_outputs, check_outputs, figures_for, write_json
from minijepa.options import Option, Parser, UserError, heading, line, number, resolve, run, whole
from minijepa.train import Training
from minijepa.worlds import WORLDS, world_class


def several(read):
    """Reads values separated by commas, each as `read` does."""
    def read_all(value):
        try:
            return [read(each) for each in value.split(",")]
        except ValueError as wanted:
            raise ValueError(f"{wanted}, or several, separated by commas") from None
    return read_all


OPTIONS = {"seeds": Option(3, whole(1, 1000), "how many seeds to train with: first, first + 1, …"),
           "first": Option(0, whole(0), "the first seed"),
           "rates": Option([2e-3, 4e-3], several(number(0, exclude_low=True)),
                           "learning rates to try"),
           "epochs": Option(None, whole(1), "passes over the training data (default: the world's)"),
           "q": Option([0, 0.25, 0.5, 0.75, 1], several(number(0, 1)), "values of q")}


def measured(world, given):
    """One training: the numbers that the dial shows."""
    training = Training.start(world, given)
    for _ in training.rows():
        pass
    numbers = training.world.dialled(training.model)
    return {key: numbers[key] for key in world.dial}


def best(world, settings, seeds, rates, live):
    """Train at every rate with every seed: the medians at the best rate, and all runs."""
    runs = []
    for rate in rates:
        for seed in seeds:
            live(f"rate {rate:g}, seed {seed}")
            given = {**settings, "learning_rate": rate, "seed": seed}
            runs.append({"rate": rate, "seed": seed, **measured(world, given)})
    medians = {rate: {key: float(np.median([run[key] for run in runs if run["rate"] == rate]))
                      for key in world.dial} for rate in rates}
    first, more_is_better = next(iter(world.dial.items()))
    rate = max(rates, key=lambda rate: more_is_better * medians[rate][first])
    return {"rate": rate, **medians[rate], "runs": runs}


def models_of(world):
    """{label: options}: the world's own model, and the first that it is compared with."""
    label, changes = next(iter(world.comparisons.items()))
    return {"JEPA": {}, label: changes}


def shown(world):
    """{key: (title, format)} of its numbers; what is too slow for every row is no column."""
    return {key: world.columns.get(key, (key, ".3f")) for key in world.dial}


def columns_of(world):
    """Of the dial's table."""
    labels = ["JEPA", *world.comparisons]
    return {"q": ("q", ".2f"), "model": ("model", f"<{max(map(len, labels))}"),
            "rate": ("rate", "g"), **shown(world)}


def main(argv=None):
    argv = sys.argv[1:] if argv is None else list(argv)
    names = [name for name, world in WORLDS.items() if world.dial]
    parser = Parser("minijepa.dial", __doc__)
    parser.add_argument("world", help=f"one of {', '.join(names)}, or a file my_world.py")
    parser.add_options(OPTIONS)
    add_outputs(parser, "both models over q")
    given = vars(parser.parse_args(argv))
    name = given.pop("world")
    world = world_class(name)
    if not world.dial or "q" not in world.options or not world.comparisons:
        raise UserError(f"the world {world.name} has no dial: wanted one of {', '.join(names)}")
    to_json, to_plot = given.pop("json"), given.pop("plot")
    options = resolve(OPTIONS, given)
    check_outputs([to_json, to_plot], [name] if name.endswith(".py") else [])
    figures = figures_for(to_plot)

    seeds = range(options["first"], options["first"] + options["seeds"])
    epochs = {} if options["epochs"] is None else {"epochs": options["epochs"]}
    columns, screen, rows = columns_of(world), Screen(), []
    screen.say(f"{world.name}: medians of {len(seeds)} seeds, each model at its own best rate")
    screen.say(heading(columns))
    try:
        for q in options["q"]:
            for name, changed in models_of(world).items():
                row = best(world, {"q": q, **epochs, **changed}, seeds, options["rates"],
                           lambda text: screen.live(f"q = {q}, {name}: {text}"))
                rows.append({"q": q, "model": name, **row})
                screen.say(line(rows[-1], columns))
    finally:                                           # Ctrl-C keeps what is done
        if rows:
            write_json(to_json, {"world": world.name, "options": options, "rows": rows})
            if figures:
                titles = {key: title for key, (title, _) in shown(world).items()}
                figures.plot_dial(rows, titles, to_plot)


if __name__ == "__main__":
    run(main)
