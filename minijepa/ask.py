"""Ask a trained model: which words fit the blank, or a question about a picture."""

from minijepa.cli import Screen
from minijepa.options import Parser, UserError, run, whole
from minijepa.train import Training
from minijepa.worlds import WORLDS

ASKED = [name for name, world in WORLDS.items() if hasattr(world, "nearest")]


def main(argv=None):
    parser = Parser("minijepa.ask", "The texts nearest to the latent that is predicted, with their "
                    "cosine:\n"
                    '    python -m minijepa.ask "the cat climbed up the __"\n'
                    '    python -m minijepa.ask --world questions "what colour is the object"')
    parser.add_argument("prompt", nargs="+", help="a sentence with one blank, __; or a question")
    parser.add_argument("--world", metavar="{" + ",".join(ASKED) + "}", default="words",
                        help="words (default): which word fits the blank; questions: about a "
                        "picture that is drawn")
    parser.add_argument("--model", metavar="FILE", help="a model that `train --save` wrote; "
                        "without one, the standard model is trained first")
    parser.add_argument("--top", metavar="N", default="5", help="how many words (default: 5)")
    arguments = parser.parse_args(argv)
    try:
        count = whole(1)(arguments.top)
    except ValueError as wanted:
        raise UserError(f"--top: wanted {wanted}, was given {arguments.top!r}") from None
    if arguments.world not in ASKED:
        raise UserError(f"--world: wanted one of {', '.join(ASKED)}, was given "
                        f"{arguments.world!r}")

    prompt, kind = " ".join(arguments.prompt), WORLDS[arguments.world]
    if any("\udc80" <= letter <= "\udcff" for letter in prompt):   # bytes of another encoding
        raise UserError("the sentence is not UTF-8 text")
    if arguments.model is not None:
        training = Training.load(arguments.model, kind)
    else:
        training, screen = Training.start(kind, {}), Screen()
        training.world.parse(prompt)  # a mistake is told before training
        screen.live(f"no --model: training the standard one, about {kind.seconds} s")
        for _ in training.rows():
            pass
        screen.live("")
    answers = training.world.nearest(training.model, prompt, count)
    if hasattr(training.world, "scene"):
        print(training.world.scene(), end="\n\n")
    for text, cosine in answers:
        print(f"{cosine:6.3f}  {text}")


if __name__ == "__main__":
    run(main)
