"""python -m minijepa.train: files, progress, Ctrl-C and tables, around the loop of train.py."""

import contextlib
import json
import os
import sys
import time

from minijepa import checkpoint
from minijepa.options import Parser, UserError, heading, line
from minijepa.train import Training
from minijepa.worlds import WORLDS, world_class


SAVE_EVERY = 60                                        # seconds of a training with --save


class Screen:
    """What a command prints: lines that stay, and on a terminal one that is written over."""

    def __init__(self, quiet=False):
        self.quiet, self.terminal = quiet, sys.stdout.isatty()

    def say(self, text):
        if not self.quiet:
            print(("\r\033[K" if self.terminal else "") + text, flush=True)

    def live(self, text):
        if self.terminal and not self.quiet:
            print(f"\r\033[K{text} ", end="", flush=True)

    def progress(self, training):
        epochs = training.config["epochs"]
        self.live(f"epoch {training.epoch} of {epochs}, loss {training.loss:.4f}")


def add_outputs(parser, what):
    """The two files that a command can leave."""
    parser.add_argument("--json", metavar="FILE", help="write all numbers here")
    parser.add_argument("--plot", metavar="FILE",
                        help=f"draw {what} (.svg, .png, …; needs matplotlib)")


def check_outputs(outputs, inputs=()):
    """Raise UserError now if one of these files could not be written later, or is named twice."""
    taken = {os.path.realpath(path) for path in inputs if path is not None}
    for path in outputs:
        if path is not None:
            checkpoint.check_writable(path)
            if os.path.realpath(path) in taken and not checkpoint.is_device(path):
                raise UserError(f"{path} is named twice, and would be overwritten: "
                                "name another file")
            taken.add(os.path.realpath(path))


def figures_for(path, moving=False):
    """The one module that needs matplotlib, where there is something to draw; missed at once."""
    if path is None:
        return None
    from minijepa import figures

    figures.need(path, moving)
    return figures


def write_json(path, report):
    if path is not None:
        text = json.dumps(report, indent=1, ensure_ascii=False) + "\n"
        checkpoint.write_file(path, lambda file: file.write(text.encode()))


def parse(argv):
    """The world's class, the options given, and what is asked of the command line itself."""
    name = argv.pop(0) if argv and not argv[0].startswith("-") else "words"
    world = world_class(name)
    parser = Parser(f"minijepa.train{'' if name == 'words' else ' ' + name}",
                    f"Train a JEPA in the world of {world.name} (worlds: {', '.join(WORLDS)}, or a "
                    "file my_world.py; name one first, words is the default).")
    parser.add_options(world.all_options())
    parser.add_argument("--save", metavar="FILE", help="write the trained model here (.npz)")
    parser.add_argument("--resume", metavar="FILE", help="go on training a saved model")
    add_outputs(parser, "what was learned" + (", as a film: FILE.gif" if world.animate else ""))
    parser.add_argument("--quiet", action="store_true", help="print nothing")
    if world.comparisons:
        parser.add_argument("--compare", action="store_true",
                            help=f"train also, for comparison: {', '.join(world.comparisons)}")
    for extra, text in world.extras.items():
        parser.add_argument(f"--{extra}", action="store_true", help=text)
    given = vars(parser.parse_args(argv))
    asked = {key: given.pop(key) for key in ("save", "resume", "json", "plot", "quiet")}
    asked["file"] = name if name.endswith(".py") else None
    asked["compare"] = world.comparisons if given.pop("compare", False) else {}
    asked["extras"] = [extra for extra in world.extras if given.pop(extra)]
    return world, given, asked


def train_and_save(training, screen, path):
    """All rows of a training, printed; saved at the end, or where it is interrupted."""
    columns = {"epoch": ("epoch", "d"), "loss": ("loss", ".4f"), **training.world.columns}
    screen.say(f"{training.world.name}: {training.world.describe()}")
    screen.say(heading(columns))
    history, saved = [], time.monotonic()

    def progress(training):
        nonlocal saved
        screen.progress(training)
        if path is not None and time.monotonic() > saved + SAVE_EVERY:
            with contextlib.suppress(UserError):       # a full disk may be emptied until the end
                checkpoint.save(path, *training.finished)
            saved = time.monotonic()

    try:
        for row in training.rows(progress):
            screen.say(line(row, columns))
            history.append(row)
        if path is not None:
            checkpoint.save(path, *training.finished)
    except UserError:                                  # it diverges, or was never possible
        raise
    except BaseException:                              # Ctrl-C, a reader that has gone, a bad row
        done = training.finished[1]["epoch"]
        text = f"\nstopped; {done} epochs are done"
        if path is not None and done > 0:
            checkpoint.save(path, *training.finished)
            text += f"\nsaved to {path}; go on with --resume {path}"
        screen.say(text)
        raise
    return history


def compared(world, config, changes, screen):
    """A model trained with the same settings, but for what a comparison of the world changes."""
    own = {key: value for key, value in config.items() if key != "world" and value is not None}
    other = Training.start(world, {**own, **changes})
    for _ in other.rows(screen.progress):
        pass
    return other.model


def main(argv=None):
    world, given, asked = parse(sys.argv[1:] if argv is None else list(argv))
    figures = figures_for(asked["plot"], moving=world.animate is not None)
    inputs = [given.get("corpus"), asked["file"]]      # --save may be what is resumed
    check_outputs([asked["save"]], inputs)
    check_outputs([asked["json"], asked["plot"]], [*inputs, asked["save"], asked["resume"]])
    if asked["resume"] is not None:
        training = Training.resume(asked["resume"], world, given)
    else:
        training = Training.start(world, given)
    screen, started = Screen(asked["quiet"]), time.perf_counter()
    history = train_and_save(training, screen, asked["save"])
    seconds = time.perf_counter() - started
    others = {label: compared(world, {**training.config, **given}, changes, screen)
              for label, changes in asked["compare"].items()}
    text, findings = training.world.report(training.model, training.config, others)
    for each in [text, *(getattr(training.world, extra)(training.model, others)
                         for extra in asked["extras"])]:
        if each:
            screen.say(each)
    result = {**{key: value for key, value in history[-1].items() if key != "epoch"}, **findings}
    write_json(asked["json"], {"config": training.config, "history": history, "result": result,
                               "seconds": seconds})
    if figures:
        figures.plot_training(training, history, others, asked["plot"])
