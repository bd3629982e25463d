"""Ask a trained model which words fit the blank."""

from minijepa.cli import Screen
from minijepa.options import Parser, UserError, run, whole
from minijepa.train import Training
from minijepa.worlds.words import Words


def main(argv=None):
    parser = Parser("minijepa.ask", "The words nearest to the latent that is predicted for the "
                    "blank, with their cosine:\n"
                    '    python -m minijepa.ask "the cat climbed up the __"')
    parser.add_argument("prompt", nargs="+", help="a sentence with one blank, __")
    parser.add_argument("--model", metavar="FILE", help="a model that `train --save` wrote; "
                        "without one, the standard model is trained first, which takes a second")
    parser.add_argument("--top", metavar="N", default="5", help="how many words (default: 5)")
    arguments = parser.parse_args(argv)
    try:
        count = whole(1)(arguments.top)
    except ValueError as wanted:
        raise UserError(f"--top: wanted {wanted}, was given {arguments.top!r}") from None

    prompt = " ".join(arguments.prompt)
    if not prompt.isascii() and "\udc80" <= max(prompt) <= "\udcff":
        raise UserError("the sentence is not UTF-8 text")
    if arguments.model is not None:
        training = Training.load(arguments.model, Words)
    else:
        training, screen = Training.start(Words, {}), Screen()
        training.world.parse(prompt)  # a mistake is told before training
        screen.live("no --model: training the standard one, which takes a second")
        for _ in training.rows():
            pass
        screen.live("")
    for word, cosine in training.world.nearest(training.model, prompt, count):
        print(f"{cosine:6.3f}  {word}")


if __name__ == "__main__":
    run(main)
