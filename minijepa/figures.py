"""Pictures: draws what it is given. All that needs matplotlib is here.

On a white ground, so that they read on light and dark pages; told apart by mark and line as well as
by colour, so that they read in black and white.
"""

import os

import numpy as np

from minijepa import checkpoint
from minijepa.options import UserError

COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00",
           "#56b4e9", "#000000", "#888888", "#994f00", "#5d3a9b"]
LINES = ["-", "--", "-.", ":"]
KINDS, MOVING = (".svg", ".png", ".pdf"), ".gif"
MS_A_FRAME = 350
MARKS = "osD^v<>pPX*h8d1234"


def need(path, moving=False):
    """matplotlib, set up to draw the same file each time; moving: may the file be an animation?

    Raises UserError where it is missing, or the file cannot be drawn.
    """
    try:
        import matplotlib
    except ImportError:
        raise UserError("pictures need matplotlib: pip install 'minijepa[plot]'") from None
    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    count = len(MARKS)
    cycle = plt.cycler(color=(COLOURS * 2)[:count], linestyle=(LINES * 5)[:count], marker=MARKS)
    plt.rcParams.update({
        "svg.hashsalt": "minijepa", "svg.fonttype": "path", "font.size": 9,
        "figure.facecolor": "white", "axes.spines.top": False, "axes.spines.right": False,
        "savefig.bbox": "tight", "axes.prop_cycle": cycle, "lines.markersize": 3,
        "lines.linewidth": 1, "legend.frameon": False})
    kinds = (*KINDS, MOVING) if moving else KINDS
    if os.path.splitext(path)[1].lower() not in kinds:
        raise UserError(f"{path}: wanted a picture's ending, one of {', '.join(kinds)}")
    return plt


def write(figure, path):
    """Write the figure, whole or not at all, without the date."""
    kind = os.path.splitext(path)[1][1:].lower()
    metadata = {"Date": None} if kind == "svg" else None
    checkpoint.write_file(
        path, lambda file: figure.savefig(file, format=kind, dpi=150, metadata=metadata))
    need(path).close(figure)


def plot_training(training, history, others, path):
    """The world's own pictures, if it has any, and what was measured over the training."""
    if path.lower().endswith(MOVING):
        return plot_film(training, others, path)
    plt, world = need(path), training.world
    widths = [3] * len(world.plots) + [2]
    figure, panels = plt.subplots(1, len(widths), figsize=(2.2 * sum(widths), 5), squeeze=False,
                                  width_ratios=widths)
    *own, over_training = panels[0]
    for axes, plot in zip(own, world.plots):
        plot(world, axes, training.model, others)
        if axes.get_legend_handles_labels()[0]:        # a picture of pixels has none
            axes.legend(fontsize=7)
    epochs = [row["epoch"] for row in history]
    few = dict([*world.columns.items()][:4])           # more lines say less
    for key, (title, _) in {"loss": ("loss", ""), **few}.items():
        if history[-1][key] <= 3:                      # what ends above it is seen nowhere
            over_training.plot(epochs, [row[key] for row in history], label=title)
    bottom, top = over_training.get_ylim()             # untrained models may be far off the scale
    over_training.set(xlabel="epoch", title="over training", ylim=(max(bottom, -0.1), min(top, 3)))
    over_training.legend(fontsize=7)
    write(figure, path)


def plot_film(training, others, path):
    """What the world's `animate` draws, a frame at each of its yields, for ever: a .gif."""
    plt = need(path, moving=True)
    from PIL import Image                              # which matplotlib needs, and brings

    figure, axes = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
    frames = []
    for _ in training.world.animate(axes, training.model, others):
        figure.canvas.draw()
        frame = Image.fromarray(np.array(figure.canvas.buffer_rgba())[..., :3])
        frames.append(frame.quantize(64))
    first, *rest = frames
    checkpoint.write_file(path, lambda file: first.save(
        file, format="gif", save_all=True, append_images=rest, duration=MS_A_FRAME, loop=0))
    plt.close(figure)


def plot_panels(panels, path):
    """Pictures side by side, each drawn by a function of axes."""
    figure, axes = need(path).subplots(1, len(panels), figsize=(5 * len(panels), 4.6))
    for each, draw in zip(axes, panels):
        draw(each)
        each.legend(fontsize=7)
    write(figure, path)


def plot_collapse(results, path):
    """The gauges at the end of each recipe's training: a row a recipe, a column a gauge."""
    plt = need(path)
    gauges = [("loss", "loss", "log"), ("relative_loss", "relative loss", "linear"),
              ("std", "std", "log"), ("effective_rank", "effective rank", "linear"),
              ("hits", "held-out hits", "linear")]
    verdicts = {result["summary"]["verdict"]: None for result in results}
    verdicts = sorted(verdicts, key=lambda verdict: verdict != "healthy")
    looks = dict(zip(verdicts, zip(COLOURS, ("", "///", "...", "xx"))))
    figure, panels = plt.subplots(1, len(gauges), figsize=(11, 3.6), sharey=True)
    for axes, (key, title, scale) in zip(panels, gauges):
        for row, result in enumerate(results):
            colour, hatch = looks[result["summary"]["verdict"]]
            axes.barh(row, max(result["summary"][key], 1e-6), color=colour, hatch=hatch,
                      edgecolor="white", label=result["summary"]["verdict"])
        axes.set(title=title, xscale=scale)
        axes.minorticks_off()
    panels[0].set_yticks(range(len(results)), [result["recipe"] for result in results])
    panels[0].invert_yaxis()
    panels[1].set_xlim(0, 1.5)                         # of what collapses, it may be anything
    handles, labels = panels[0].get_legend_handles_labels()
    own = dict(zip(labels, handles))
    figure.legend(own.values(), own, loc="lower center", ncols=len(own))
    figure.tight_layout(rect=(0, 0.07, 1, 1))
    write(figure, path)


def plot_benchmark(rows, path):
    """Microseconds a step, ours, the floor and PyTorch's, for each size."""
    plt = need(path)
    figure, axes = plt.subplots(figsize=(9, 4))
    labels = ["V {vocabulary}, T {tokens}\nH {hidden}, B {batch}".format(**row) for row in rows]
    for name in rows[0]["median_us"]:
        axes.plot([row["median_us"].get(name, np.nan) for row in rows], label=name)
    axes.set(yscale="log", ylabel="µs a step", xticks=range(len(rows)))
    axes.set_xticklabels(labels, fontsize=7)
    axes.legend()
    write(figure, path)


def plot_dial(rows, titles, path):
    """Each number over q, a line for each model, from its least to its greatest seed shaded."""
    plt = need(path)
    figure, panels = plt.subplots(1, len(titles), figsize=(4 * len(titles), 3.4), squeeze=False)
    for axes, (key, title) in zip(panels.flat, titles.items()):
        for model in dict.fromkeys(row["model"] for row in rows):
            own = [row for row in rows if row["model"] == model]
            at_best = [[run[key] for run in row["runs"] if run["rate"] == row["rate"]]
                       for row in own]
            q = [row["q"] for row in own]
            axes.fill_between(q, list(map(min, at_best)), list(map(max, at_best)), alpha=0.15)
            axes.plot(q, [row[key] for row in own], label=model)
        axes.set(xlabel="q: how much of the look is random", title=title, ylim=(0, None))
    panels.flat[0].legend()
    write(figure, path)
