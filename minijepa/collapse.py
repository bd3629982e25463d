"""The gallery of collapses: the word world trained in telling ways, the gauges side by side."""

import json
import sys

import numpy as np

from minijepa import checkpoint
from minijepa.options import Option, Parser, resolve, run, whole
from minijepa.train import Training

RECIPES = {
    "joint": {"target": "joint"},
    "joint, high rate": {"target": "joint", "learning_rate": 1e-2},
    "EMA, τ = 0.99": {},
    "τ = 0: stop-gradient only": {"momentum": 0.0},
    "τ = 1: frozen target": {"momentum": 1.0},
    "separate target encoder": {"target": "stopgrad"},
    "EMA, no predictor": {"predictor": "none"},
    "joint + variance": {"target": "joint", "regularizer": "vicreg", "covariance_weight": 0.0},
    "joint + VICReg": {"target": "joint", "regularizer": "vicreg"},
    "joint + SIGReg": {"target": "joint", "regularizer": "sigreg"},
}

# The rule behind the word, first match; of the medians over the seeds
VERDICTS = [
    ("collapsed", lambda row: row["latent_std"] < 0.05, "std < 0.05"),
    ("dimensional collapse", lambda row: row["effective_rank"] < 4, "effective rank < 4"),
    ("weak", lambda row: row["hit_rate"] < 0.9 or row["relative_loss"] > 0.5, "held-out hits < 0.90 or relative loss > 0.5"),
    ("healthy", lambda row: True, "none of these"),
]

OPTIONS = {"seeds": Option(3, whole(1, 1000), "how many seeds each recipe is trained with: 0, 1, …"),
           "epochs": Option(60, whole(1), "passes over the training data")}


def train_recipe(given, seeds, epochs):
    """One run a seed: [{"history": …, "singular_values": of the content words' latents at the end}]."""
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
    row = {key: float(np.median([run["history"][-1][key] for run in runs])) for key in runs[0]["history"][-1]}
    row["first_loss"] = float(np.median([run["history"][0]["loss"] for run in runs]))
    row["verdict"] = next(word for word, rule, _ in VERDICTS if rule(row))
    return row


def main(argv=None):
    parser = Parser("minijepa.collapse", __doc__)
    parser.add_options(OPTIONS)
    parser.add_argument("--json", metavar="FILE", help="write every recipe's runs here")
    parser.add_argument("--plot", metavar="FILE", help="draw the gauges over training, and the spectra "
                        "(.svg, .png, …; needs matplotlib)")
    given = vars(parser.parse_args(argv))
    to_json, to_plot = given.pop("json"), given.pop("plot")
    options = resolve(OPTIONS, given)
    for path in (to_json, to_plot):
        if path is not None:
            checkpoint.check_writable(path)
    if to_plot is not None:
        from minijepa import figures

        figures.need(to_plot)

    live = sys.stdout.isatty()
    print(f"the word world, {options['epochs']} epochs, medians of {options['seeds']} seeds")
    print(f"{'recipe':<26} {'loss: first → last':>18}  {'relative loss':>13}  {'std':>7}  "
          f"{'effective rank':>14}  {'held-out hits':>13}  verdict", flush=True)
    results = []
    for number, (name, recipe) in enumerate(RECIPES.items(), 1):
        if live:
            print(f"training recipe {number} of {len(RECIPES)}: {name} …", end="", flush=True)
        runs = train_recipe(recipe, options["seeds"], options["epochs"])
        row = summarise(runs)
        print(("\r\033[K" if live else "")
              + f"{name:<26} {row['first_loss']:8.4f} → {row['loss']:7.4f}  {row['relative_loss']:>13.4f}  "
              f"{row['latent_std']:>7.4f}  {row['effective_rank']:>14.2f}  {row['hit_rate']:>13.2f}  {row['verdict']}",
              flush=True)
        results.append({"recipe": name, "config": recipe, "summary": row, "runs": runs})
    print("verdicts: " + "; ".join(f"{word}: {text}" for word, _, text in VERDICTS))
    if to_json is not None:
        report = json.dumps({"options": options, "recipes": results}, indent=1, ensure_ascii=False)
        checkpoint.write_file(to_json, lambda file: file.write(report.encode() + b"\n"))
    if to_plot is not None:
        figures.plot_collapse(results, to_plot)


if __name__ == "__main__":
    run(main)
