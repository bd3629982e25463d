"""python -m minijepa: what there is to run."""

from minijepa.options import Parser, run

COMMANDS = {
    "minijepa.train": "train a JEPA and see what it has learned (about a second)",
    'minijepa.ask "the cat climbed up the __"': "the words that fit the blank",
    "minijepa.gradcheck": "every backward against finite differences",
    "minijepa.train video": "the ball that rolls behind a chair (about 20 seconds)",
    "minijepa.dial video": "the same as its look becomes chance, beside pixels (half an hour)",
    "minijepa.train images": "what is under the card: digits, half covered (about 10 seconds)",
    "minijepa.dial images": "the same as their stripes become chance, beside pixels",
    "minijepa.plan": "a model that is told actions plans its way around walls (a minute)",
    "minijepa.collapse": "ten ways to train, and which of them collapse (about half a minute)",
    "minijepa.exercises": "write the backward passes yourself",
}


def main(argv=None):
    Parser("minijepa", "What there is to run.").parse_args(argv)
    print("minijepa: a JEPA from scratch in plain NumPy. What there is to run, each with --help:\n")
    for command, what in COMMANDS.items():
        print(f"  python -m {command:<42} {what}")


if __name__ == "__main__":
    run(main)
