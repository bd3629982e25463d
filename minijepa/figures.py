"""The pictures: python -m minijepa.figures makes those of the documents. All that needs matplotlib is here.

On a white ground, so that they read on light and dark pages; told apart by mark and line as well as
by colour, so that they read in black and white.
"""

import os

import numpy as np

from minijepa import checkpoint, collapse
from minijepa.gauges import principal_components
from minijepa.gradcheck import EPSILON, epsilon_sweep
from minijepa.options import Parser, UserError, run
from minijepa.train import Training
from minijepa.worlds.video import AHEAD, CHAIR, WIDTH, WINDOW

COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#888888", "#994f00", "#5d3a9b"]
LINES = ["-", "--", "-.", ":"]
MARKS = "osD^v<>pPX*h8d1234"


def need(path):
    """matplotlib, set up to draw the same file each time. Raises UserError where it is missing."""
    try:
        import matplotlib
    except ImportError:
        raise UserError("pictures need matplotlib: pip install 'minijepa[plot]'") from None
    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    plt.rcParams.update({"svg.hashsalt": "minijepa", "svg.fonttype": "path", "font.size": 9, "figure.facecolor": "white",
                         "axes.spines.top": False, "axes.spines.right": False, "savefig.bbox": "tight"})
    kinds = plt.gcf().canvas.get_supported_filetypes()
    plt.close("all")
    if os.path.splitext(path)[1][1:].lower() not in kinds:
        raise UserError(f"{path}: wanted a picture's ending, one of .{', .'.join(sorted(kinds))}")
    return plt


def write(figure, path):
    """Write the figure, whole or not at all, without the date."""
    kind = os.path.splitext(path)[1][1:].lower()
    metadata = {"Date": None} if kind == "svg" else None
    checkpoint.write_file(path, lambda file: figure.savefig(file, format=kind, dpi=150, metadata=metadata))
    need(path).close(figure)


# --- what a training run can draw of itself: train --plot ----------------------------------------------

def plot_training(training, history, others, path):
    """The world's own picture, and the gauges over training beside it."""
    plt = need(path)
    figure, axes = plt.subplots(1, 2, figsize=(11, 5), width_ratios=[3, 2])
    WORLD_PLOTS[training.world.name](training, others, axes[0])
    epochs = [row["epoch"] for row in history]
    for number, key in enumerate(["loss", "relative_loss", "latent_std", "hit_rate", "hidden_rmse", "reappear_rmse"]):
        if key in history[0]:
            axes[1].plot(epochs, [row[key] for row in history], LINES[number % 4], color=COLOURS[number],
                         marker=MARKS[number], markersize=3, label=key.replace("_", " "))
    top = axes[1].get_ylim()[1]
    axes[1].set(xlabel="epoch", title="the gauges over training", ylim=(0, min(top, 3)))     # untrained ones may be far off
    axes[1].legend(frameon=False)
    write(figure, path)


def plot_words(training, others, axes):
    """The latents of the content words in two dimensions, and the predictions for held-out sentences."""
    world, model = training.world, training.model
    latents = world.latents(model).astype(np.float64)                          # (V, L)
    project = principal_components(latents[world.content], 2)
    predictions = project(model.predict(world.examples(world.held_out)[0])[0][0])
    axes.plot(*predictions.T, ".", color="#999999", markersize=3, zorder=0, label="predictions, held-out sentences")
    for number, concept in enumerate(dict.fromkeys(world.concepts[world.content])):
        words = [word for word in world.content if world.concepts[word] == concept]
        axes.plot(*project(latents[words]).T, MARKS[number % len(MARKS)], color=COLOURS[number % len(COLOURS)],
                  markersize=5)
        for word, place in zip(words, project(latents[words])):
            axes.annotate(world.vocabulary[word], place, fontsize=6, xytext=(3, 2), textcoords="offset points")
    axes.set(title="target latents, first two principal components", xticks=[], yticks=[])
    axes.legend(frameon=False, loc="best", fontsize=7)


def plot_video(training, others, axes):
    """Truth and belief over time for one held-out film, through the occlusion."""
    world = training.world
    film = world.passing_film()
    steps = np.arange(1, AHEAD + 1)
    axes.axhspan(CHAIR.start, CHAIR.stop, color="#dddddd", label="behind the chair")
    axes.plot(np.arange(-WINDOW + 1, AHEAD + 1), world.held_out.position[film], "-", color="black", lw=1, label="truth")
    for number, (label, model) in enumerate({"JEPA: rolled-out latent": training.model, **others}.items()):
        axes.plot(steps, world.believed(model)[film], LINES[1 + number], marker=MARKS[number], markersize=4,
                  color=COLOURS[number], label=label)
    axes.axvline(0.5, color="#888888", lw=0.8, ls=":")
    axes.text(0.4, 0.3, "seen ", ha="right")
    axes.text(0.6, 0.3, " predicted")
    axes.set(xlabel="frames ahead", ylabel="position of the ball (pixels)", ylim=(0, WIDTH),
             title="a ball rolls behind a chair")
    axes.legend(frameon=False, fontsize=7)


WORLD_PLOTS = {"words": plot_words, "video": plot_video}


# --- the gallery of collapses ---------------------------------------------------------------------------

def plot_collapse(results, path):
    """The gauges over training for each recipe (first seed), and the spectra of the latents at the end."""
    plt = need(path)
    figure, axes = plt.subplots(2, 3, figsize=(12, 7))
    gauges = [("loss", "loss", "log"), ("relative_loss", "relative loss", "linear"), ("latent_std", "std", "log"),
              ("effective_rank", "effective rank", "linear"), ("hit_rate", "held-out hits", "linear")]
    for number, result in enumerate(results):
        style = dict(color=COLOURS[number % len(COLOURS)], ls=LINES[number % 4], marker=MARKS[number], markersize=3, lw=1)
        history = result["runs"][0]["history"]
        for (key, _, _), panel in zip(gauges, axes.flat):
            panel.plot([row["epoch"] for row in history], [max(row[key], 1e-9) for row in history], **style)
        sigma = np.array(result["runs"][0]["singular_values"])
        axes.flat[5].plot(np.arange(1, len(sigma) + 1), np.maximum(sigma / sigma[0], 1e-6), label=result["recipe"], **style)
    for (_, title, scale), panel in zip(gauges, axes.flat):
        panel.set(title=title, xlabel="epoch", yscale=scale)
    axes.flat[1].set_ylim(0, 1.5)                      # of what collapses, it may be anything
    axes.flat[5].set(title="singular values of the latents, over the first", xlabel="direction", yscale="log")
    figure.legend(*axes.flat[5].get_legend_handles_labels(), loc="lower center", ncols=5, frameon=False)
    figure.tight_layout(rect=(0, 0.07, 1, 1))
    write(figure, path)


# --- the benchmark ----------------------------------------------------------------------------------------

def plot_benchmark(rows, path):
    """Microseconds a step, ours, the floor and PyTorch's, for each size."""
    plt = need(path)
    figure, axes = plt.subplots(figsize=(9, 4))
    labels = [f"V {row['vocabulary']}, T {row['tokens']}\nH {row['hidden']}, B {row['batch']}" for row in rows]
    for number, name in enumerate(rows[0]["median_us"]):
        axes.plot(range(len(rows)), [row["median_us"].get(name, np.nan) for row in rows], LINES[number % 4],
                  color=COLOURS[number], marker=MARKS[number], label=name)
    axes.set(yscale="log", ylabel="µs a step", xticks=range(len(rows)))
    axes.set_xticklabels(labels, fontsize=7)
    axes.legend(frameon=False)
    write(figure, path)


# --- the documents' own -------------------------------------------------------------------------------------

def draw_architecture(path):
    """The three parts, and the way that the gradient takes through them."""
    plt = need(path)
    figure, axes = plt.subplots(figsize=(9, 4.2))
    axes.set(xlim=(0, 100), ylim=(0, 46))
    axes.axis("off")

    def box(x, y, text, dashed=False):
        axes.text(x, y, text, ha="center", va="center", fontsize=9, bbox={
            "boxstyle": "round,pad=0.6", "fc": "white", "ec": "black", "lw": 1.2, "ls": "--" if dashed else "-"})

    def arrow(start, end, back=False, text="", shift=(0, 1.6)):
        style = dict(arrowstyle="->", lw=2.2 if back else 1.2, color="#d55e00" if back else "black",
                     ls=(0, (4, 2)) if back else "-", shrinkA=0, shrinkB=0)
        axes.annotate("", end, start, arrowprops=style)
        axes.text((start[0] + end[0]) / 2 + shift[0], (start[1] + end[1]) / 2 + shift[1], text, ha="center", fontsize=9,
                  color="#d55e00" if back else "black")

    box(10, 36, "x\nthe cat climbed\nup the __")
    box(34, 36, "embedding, mean,\ncontext encoder")
    box(58, 36, "predictor")
    box(10, 8, "y\ntree")
    box(34, 8, "embedding,\ntarget encoder", dashed=True)
    box(84, 22, "D: mean squared\nerror")
    arrow((18, 37), (24.5, 37))
    arrow((43.5, 37), (52, 37), text="$s_x$")
    arrow((64, 37), (84, 27), text="$\\hat{s}_y$")
    arrow((14, 9), (26.5, 9))
    arrow((41.5, 9), (84, 17.5), text="$s_y$", shift=(-2, 1.8))
    arrow((81, 27), (64, 35), back=True)
    arrow((52, 34.5), (43.5, 34.5), back=True)
    arrow((24.5, 34.5), (18, 34.5), back=True)
    arrow((78, 15.5), (64, 11.4), back=True)
    axes.plot([62.5, 62.5], [8, 14], color="#d55e00", lw=4)
    axes.text(63, 4.5, "stop-gradient", color="#d55e00", ha="center")
    arrow((34, 31), (34, 12.5), text="EMA: target = τ·target + (1 − τ)·online", shift=(20, 0))
    axes.text(50, 44, "black: forward      dashed: the gradient, on its way back", ha="center", fontsize=8)
    write(figure, path)


def draw_epsilon(path):
    """The V-curves of the error over epsilon."""
    plt = need(path)
    figure, axes = plt.subplots(figsize=(6.5, 3.8))
    rows = np.array(epsilon_sweep(np.random.default_rng(0)))
    axes.loglog(rows[:, 0], rows[:, 1], "-o", color=COLOURS[0], label="float64")
    axes.loglog(rows[:, 0], rows[:, 2], "--s", color=COLOURS[1], label="float32")
    axes.axvline(EPSILON, color="#888888", ls=":")
    axes.text(EPSILON * 1.2, 1e-11, f"ε = {EPSILON:.0e}, chosen")
    axes.text(2e-2, 3e-8, "truncation\n∝ ε²", ha="center")
    axes.text(1e-9, 3e-9, "round-off\n∝ 1/ε", ha="center")
    axes.set(xlabel="ε", ylabel="relative error")
    axes.legend(frameon=False)
    write(figure, path)


def draw_latents(path):
    training = Training.start("words", {})
    plot_training(training, list(training.rows()), {}, path)


def draw_collapse(path):
    results = [{"recipe": name, "runs": collapse.train_recipe(recipe, seeds=1, epochs=60)}
               for name, recipe in collapse.RECIPES.items()]
    plot_collapse(results, path)


def draw_ball(path):
    training = Training.start("video", {})
    history = list(training.rows())
    others = {label: Training.start("video", given) for label, given in training.world.comparisons.items()}
    for other in others.values():
        list(other.rows())
    plot_training(training, history, {label: other.model for label, other in others.items()}, path)


FIGURES = {"architecture": draw_architecture, "epsilon": draw_epsilon, "latents": draw_latents,
           "collapse": draw_collapse, "ball": draw_ball}


def main(argv=None):
    parser = Parser("minijepa.figures", "Draw the pictures of the documents, as .svg (needs matplotlib).")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(FIGURES)} (default: all)")
    parser.add_argument("--dir", default="figures", help="the folder they go to (default: figures)")
    arguments = parser.parse_args(argv)
    for name in arguments.names:
        if name not in FIGURES:
            raise UserError(f"there is no figure {name!r}: wanted {', '.join(FIGURES)}")
    need("figure.svg")
    try:
        os.makedirs(arguments.dir, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the folder {arguments.dir}: {error.strerror}") from None
    for name in arguments.names or FIGURES:
        path = os.path.join(arguments.dir, f"{name}.svg")
        checkpoint.check_writable(path)
        FIGURES[name](path)
        print(path, flush=True)


if __name__ == "__main__":
    run(main)
