"""The pictures of the documents: python tests/draw_figures.py (needs matplotlib)."""

import argparse
import os

import numpy as np

from minijepa import collapse
from minijepa.cli import main as train
from minijepa.figures import need, write
from minijepa.gradcheck import EPSILON, epsilon_sweep


def draw_architecture(path):
    """The three parts, and the way that the gradient takes through them."""
    plt = need(path)
    figure, axes = plt.subplots(figsize=(9, 4.2))
    axes.set(xlim=(0, 100), ylim=(0, 46))
    axes.axis("off")

    def box(x, y, text, dashed=False):
        style = {"boxstyle": "round,pad=0.6", "fc": "white", "ec": "black", "lw": 1.2,
                 "ls": "--" if dashed else "-"}
        axes.text(x, y, text, ha="center", va="center", fontsize=9, bbox=style)

    def arrow(start, end, back=False, text="", shift=(0, 1.6)):
        style = dict(arrowstyle="->", lw=2.2 if back else 1.2, color="#d55e00" if back else "black",
                     ls=(0, (4, 2)) if back else "-", shrinkA=0, shrinkB=0)
        axes.annotate("", end, start, arrowprops=style)
        middle = [(a + b) / 2 + c for a, b, c in zip(start, end, shift)]
        axes.text(*middle, text, ha="center", fontsize=9, color="#d55e00" if back else "black")

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
    axes.text(50, 44, "black: forward      dashed: the gradient, on its way back",
              ha="center", fontsize=8)
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


FIGURES = {
    "architecture": draw_architecture,
    "epsilon": draw_epsilon,
    "latents": lambda path: train(["--quiet", "--plot", path]),
    "collapse": lambda path: collapse.main(["--seeds", "1", "--plot", path]),
    "ball": lambda path: train(["video", "--compare", "--quiet", "--plot", path]),
    "digits": lambda path: train(["images", "--compare", "--quiet", "--plot", path]),
}


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
        path = os.path.join(arguments.dir, f"{name}.svg")
        FIGURES[name](path)
        print(path, flush=True)


if __name__ == "__main__":
    main()
