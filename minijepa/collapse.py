"""The gallery of collapses: the word world trained in telling ways, the gauges side by side."""

import numpy as np

from minijepa.cli import Screen, add_outputs, check_outputs, figures_for, write_json
from minijepa.options import Option, Parser, heading, line, resolve, run, whole
from minijepa.train import Training

RECIPES = {
    "joint": {"treatment": "joint"},
    "joint, high rate": {"treatment": "joint", "learning_rate": 1e-2},
    "EMA, τ = 0.99": {},
    "τ = 0: stop-gradient only": {"tau": 0.0},
    "τ = 1: frozen target": {"tau": 1.0},
    "separate target encoder": {"treatment": "stopgrad"},
    "EMA, no predictor": {"predictor": "none"},
    "joint + variance": {"treatment": "joint", "regularizer": "vicreg", "covariance_weight": 0.0},
    "joint + VICReg": {"treatment": "joint", "regularizer": "vicreg"},
    "joint + SIGReg": {"treatment": "joint", "regularizer": "sigreg"},
}

# The rule behind the word, first match; of the medians over the seeds
VERDICTS = [
    ("collapsed", lambda row: row["std"] < 0.05, "std < 0.05"),
    ("dimensional collapse", lambda row: row["effective_rank"] < 4, "effective rank < 4"),
    ("weak", lambda row: row["hits"] < 0.9 or row["relative_loss"] > 0.5,
     "held-out hits < 0.90 or relative loss > 0.5"),
    ("healthy", lambda row: True, "none of these"),
]

OPTIONS = {"seeds": Option(3, whole(1, 1000), "how many seeds to train each recipe with: 0, 1, …"),
           "epochs": Option(60, whole(1), "passes over the training data")}


def train_recipe(given, seeds, epochs):
    """One run a seed: [{"history": …, "singular_values": of the content words' latents}]."""
    runs = []
    for seed in range(seeds):
        training = Training.start("words", {**given, "seed": seed, "epochs": epochs})
        history = list(training.rows())
        latents = training.world.latents(training.model)[training.world.content].astype(np.float64)
        sigma = np.linalg.svd(latents - latents.mean(axis=0), compute_uv=False)
        runs.append({"history": history, "singular_values": sigma.tolist()})
    return runs


def summarise(runs):
    """The medians over the seeds of the last row, the loss of the first, and the verdict."""
    first, last = ([run["history"][place] for run in runs] for place in (0, -1))
    row = {key: float(np.median([each[key] for each in last])) for key in last[0]}
    row["first_loss"] = float(np.median([each["loss"] for each in first]))
    row["verdict"] = next(word for word, rule, _ in VERDICTS if rule(row))
    return row


COLUMNS = {"recipe": ("recipe", "<26"), "first_loss": ("first loss", ".4f"),
           "loss": ("last loss", ".4f"), "relative_loss": ("relative loss", ".4f"),
           "std": ("std", ".4f"), "effective_rank": ("effective rank", ".2f"),
           "hits": ("held-out hits", ".2f"),
           "verdict": ("verdict", "<1")}


def main(argv=None):
    parser = Parser("minijepa.collapse", __doc__)
    parser.add_options(OPTIONS)
    add_outputs(parser, "the gauges at the end, of all recipes")
    given = vars(parser.parse_args(argv))
    to_json, to_plot = given.pop("json"), given.pop("plot")
    options = resolve(OPTIONS, given)
    check_outputs([to_json, to_plot])
    figures = figures_for(to_plot)

    screen, results = Screen(), []
    screen.say(f"the word world, {options['epochs']} epochs, medians of {options['seeds']} seeds")
    screen.say(heading(COLUMNS))
    for number, (name, recipe) in enumerate(RECIPES.items(), 1):
        screen.live(f"training recipe {number} of {len(RECIPES)}: {name} …")
        runs = train_recipe(recipe, options["seeds"], options["epochs"])
        row = summarise(runs)
        screen.say(line({"recipe": name, **row}, COLUMNS))
        results.append({"recipe": name, "config": recipe, "summary": row, "runs": runs})
    screen.say("verdicts: " + "; ".join(f"{word}: {text}" for word, _, text in VERDICTS))
    write_json(to_json, {"options": options, "recipes": results})
    if figures:
        figures.plot_collapse(results, to_plot)


if __name__ == "__main__":
    run(main)
