"""python -m minijepa: what there is to run."""

from minijepa.options import Parser, run
from minijepa.worlds import WORLDS

COMMANDS = {
    "minijepa.train": "train a JEPA and see what it has learned (about a second)",
    'minijepa.ask "the cat climbed up the __"': "the words that fit the blank",
    "minijepa.gradcheck": "every backward against finite differences",
    "minijepa.plan": "plan a way around walls with a model of the rooms (a few minutes)",
    "minijepa.plan --map zigzag --scales 2": "the same at two time scales, coarse and fine",
    "minijepa.dial video": "as what things look like becomes chance: latents or pixels? (long)",
    "minijepa.collapse": "ten ways to train, and which of them collapse (about half a minute)",
    "minijepa.exercises": "write the backward passes yourself",
}


def main(argv=None):
    Parser("minijepa", "What there is to run.").parse_args(argv)
    print("minijepa: a JEPA from scratch in plain NumPy. What there is to run, each with --help:\n")
    for command, what in COMMANDS.items():
        print(f"  python -m {command:<42} {what}")
    print("\nthe worlds, all trained by one loop; seconds of training on one core:\n")
    for name, world in WORLDS.items():
        print(f"  python -m {f'minijepa.train {name}':<42} {world.about} (about {world.seconds} s)")


if __name__ == "__main__":
    run(main)
