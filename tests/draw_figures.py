"""The pictures of the documents: python tests/draw_figures.py (needs matplotlib)."""

import argparse
import os

import numpy as np

from minijepa import collapse, plan
from minijepa.cli import main as train
from minijepa.figures import need, write
from minijepa.gradcheck import EPSILON, epsilon_sweep


def draw_architecture(path):
    """The three parts, and the way that the gradient takes through them."""
    plt = need(path)
    figure, axes = plt.subplots(figsize=(9, 3.9))
    axes.set(xlim=(0, 100), ylim=(0, 43))
    axes.axis("off")

    def box(x, y, text, dashed=False):
        style = {"boxstyle": "round,pad=0.6", "fc": "white", "ec": "black", "lw": 1.2,
                 "ls": "--" if dashed else "-"}
        return axes.text(x, y, text, ha="center", va="center", fontsize=10, bbox=style)

    def arrow(start, end, shift=0.0, back=False):
        """From box to box, edge to edge; shift: up, so that two of them stand side by side."""
        style = dict(arrowstyle="->", lw=2.2 if back else 1.2, color="#d55e00" if back else "black",
                     ls=(0, (4, 2)) if back else "-", shrinkA=2, shrinkB=2, mutation_scale=14,
                     patchA=start.get_bbox_patch(), patchB=end.get_bbox_patch())
        (x, y), (to_x, to_y) = start.get_position(), end.get_position()
        axes.annotate("", (to_x, to_y + shift), (x, y + shift), arrowprops=style)

    x, y = box(10, 34, "x\nthe cat climbed\nup the __"), box(10, 8, "y\ntree")
    context = box(36, 34, "embedding, mean,\ncontext encoder")
    target = box(36, 8, "embedding,\ntarget encoder", dashed=True)
    predictor, distance = box(61, 34, "predictor"), box(88, 21, "D: mean\nsquared error")
    figure.canvas.draw()                               # now the boxes have their sizes
    for start, end in (x, context), (context, predictor), (predictor, distance):
        arrow(start, end, 1)
        arrow(end, start, -1, back=True)
    arrow(y, target)
    arrow(target, distance, 1)
    arrow(context, target)
    for place, text in ((50.5, 36), "$s_x$"), ((74, 31), "$\\hat{s}_y$"), ((58, 15.5), "$s_y$"):
        axes.text(*place, text, ha="center", fontsize=12)
    axes.annotate("", (70, 14.2), (81, 17.6), arrowprops=dict(
        arrowstyle="->", lw=2.2, color="#d55e00", ls=(0, (4, 2)), mutation_scale=14))
    axes.plot([69, 69], [9, 19.5], color="#d55e00", lw=4, marker="")
    axes.text(69, 5, "stop-gradient", color="#d55e00", ha="center", fontsize=10)
    axes.text(37.5, 21, "EMA: target =\nτ·target + (1 − τ)·online", va="center", fontsize=10)
    axes.text(50, 41.5, "solid: forward      dashed: the gradient, on its way back", ha="center")
    write(figure, path)


def draw_epsilon(path):
    """The V-curves of the error over epsilon."""
    plt = need(path)
    figure, axes = plt.subplots(figsize=(6.5, 3.8))
    rows = np.array(epsilon_sweep(np.random.default_rng(0)))
    axes.loglog(rows[:, 0], rows[:, 1], label="float64")
    axes.loglog(rows[:, 0], rows[:, 2], label="float32")
    axes.axvline(EPSILON, color="#888888", ls=":")
    axes.text(EPSILON * 1.2, 1e-11, f"ε = {EPSILON:.0e}, chosen")
    axes.text(2e-2, 3e-8, "truncation\n∝ ε²", ha="center")
    axes.text(1e-9, 3e-9, "round-off\n∝ 1/ε", ha="center")
    axes.set(xlabel="ε", ylabel="relative error")
    axes.legend()
    write(figure, path)


ONE_TASK = ["--tasks", "0", "--alone", "--quiet", "--plot"]
FIGURES = {
    "architecture": draw_architecture,
    "epsilon": draw_epsilon,
    "latents": lambda path: train(["--quiet", "--plot", path]),
    "collapse": lambda path: collapse.main(["--seeds", "1", "--plot", path]),
    "ball": lambda path: train(["video", "--compare", "--quiet", "--plot", path]),
    "film": lambda path: train(["video", "--compare", "--quiet", "--plot", path]),
    "digits": lambda path: train(["images", "--compare", "--quiet", "--plot", path]),
    "rooms": lambda path: plan.main(["--start", "2,2", "--goal", "13,13", *ONE_TASK, path]),
    "scales": lambda path: plan.main(["--map", "zigzag", "--scales", "2", *ONE_TASK, path]),
    "futures": lambda path: train(["futures", "--ways", "4", "--compare", "--quiet",
                                   "--plot", path]),
    "questions": lambda path: train(["questions", "--quiet", "--plot", path]),
}
MOVES = "film",


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME",
                        help=f"of {', '.join(FIGURES)} (default: all)")
    parser.add_argument("--dir", default="figures", help="the folder they go to (default: figures)")
    arguments = parser.parse_args(argv)
    unknown = set(arguments.names) - FIGURES.keys()
    if unknown:
        parser.error(f"there is no figure {', '.join(unknown)}: wanted {', '.join(FIGURES)}")
    os.makedirs(arguments.dir, exist_ok=True)
    for name in arguments.names or FIGURES:
        path = os.path.join(arguments.dir, f"{name}.{'gif' if name in MOVES else 'svg'}")
        FIGURES[name](path)
        print(path, flush=True)


if __name__ == "__main__":
    main()
