"""What a user may set, how a table is printed, how a mistake is answered: one line, exit code 2."""

import argparse
import difflib
import math
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from minijepa.jepa import TREATMENTS


class UserError(ValueError):
    """What the user gave cannot be used; the message says what was wanted."""


@dataclass(frozen=True)
class Option:
    """A setting: its default, how its value is read (ValueError says what was wanted), its help."""

    default: object
    read: Callable
    help: str


def whole(low, high=10**9):
    """Reads a whole number from low to high."""
    def read(value):
        try:
            number = int(str(value))
        except ValueError:
            number = low - 1
        if not low <= number <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return number
    return read


def number(low, high=math.inf, exclude_low=False):
    """Reads a finite number from low to high."""
    def read(value):
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not (low <= number <= high and math.isfinite(number)) or exclude_low and number == low:
            upper = "" if high == math.inf else f" and at most {high:g}"
            raise ValueError(f"a number {'above' if exclude_low else 'of at least'} {low:g}{upper}")
        return number
    return read


def choice(*choices):
    """Reads one of a few words."""
    def read(value):
        if value not in choices:
            raise ValueError(f"one of {', '.join(choices)}")
        return value
    read.choices = choices                             # which --help shows
    return read


TRAINING = {
    "epochs": Option(60, whole(1), "passes over the training data, counted from the very start"),
    "batch_size": Option(32, whole(1), "examples a step"),
    "learning_rate": Option(3e-3, number(0, exclude_low=True), "of the optimizer"),
    "decay": Option(0.0, number(0, 1),
                    "the last part of the training, over which the learning rate falls to 0"),
    "optimizer": Option("adam", choice("adam", "sgd"), "adam, or sgd with momentum 0.9"),
    "treatment": Option("ema", choice(*TREATMENTS), "of the target branch"),
    "tau": Option(0.99, number(0, 1), "τ of the EMA: target = τ·target + (1 − τ)·online"),
    "regularizer": Option("none", choice("none", "vicreg", "sigreg"),
                          "on every encoder output that receives gradient"),
    "variance_weight": Option(1.0, number(0), "of VICReg's variance hinge"),
    "covariance_weight": Option(0.2, number(0), "of VICReg's covariance penalty"),
    "sigreg_weight": Option(0.1, number(0), "of SIGReg"),
    "dtype": Option("float32", choice("float32", "float64"), "of all numbers"),
    "seed": Option(0, whole(0, 2**64), "of the one random generator"),
}


def resolve(options, given):
    """Every option's value: what is given, read and checked, and the defaults for the rest."""
    for name in given:
        if name not in options:
            close = difflib.get_close_matches(name, options, 1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise UserError(f"there is no option {name!r}{hint}")
    values = {}
    for name, option in options.items():
        try:
            value = given.get(name, option.default)
            values[name] = value if value is option.default else option.read(value)
        except UserError:
            raise
        except (TypeError, ValueError) as wanted:
            raise UserError(f"{flag(name)}: wanted {wanted}, was given {given[name]!r}") from None
    return values


def flag(name):
    """embed_dim -> --embed-dim"""
    return "--" + name.replace("_", "-")


def heading(columns):
    """The first line of a table; columns: {key: (title, format)}, a text's format begins with <."""
    return "  ".join(f"{title:{form}}" if form.startswith("<") else f"{title:>6}"
                     for title, form in columns.values())


def line(row, columns):
    """A line of a table: the entries of a row {key: value} under their titles."""
    return "  ".join(f"{row[key]:{form}}" if form.startswith("<")
                     else f"{row[key]:>{max(6, len(title))}{form}}"
                     for key, (title, form) in columns.items())


def table(what, rows, columns):
    """Named rows {name: {key: number}} under their columns; `what` is what they are."""
    columns = {"what": (what, "<44"), **columns}
    return "\n".join([heading(columns), *(line({"what": name, **row}, columns)
                                          for name, row in rows.items())])


class Parser(argparse.ArgumentParser):
    """argparse that answers a mistake with one line, and never guesses an abbreviated option."""

    def __init__(self, module, description):
        super().__init__(prog=f"python -m {module}", description=description, allow_abbrev=False,
                         formatter_class=argparse.RawDescriptionHelpFormatter)

    def add_options(self, options):
        """Add the options of a world or a command, each with its default in its help."""
        for name, option in options.items():
            choices = getattr(option.read, "choices", None)
            metavar = "{" + ",".join(choices) + "}" if choices else "X"
            default = "" if option.default is None else f" (default: {option.default})"
            self.add_argument(flag(name), default=argparse.SUPPRESS, metavar=metavar,
                              help=option.help + default)

    def parse_args(self, *argv):
        given = super().parse_args(*argv)
        for action in self._actions:                   # some versions make [] of --epochs=--
            if action.nargs is None and getattr(given, action.dest, None) == []:
                setattr(given, action.dest, "--")
        return given

    def error(self, message):
        raise UserError(f"{message}; {self.prog} --help shows the options")


def printable(text, most=400):
    """One line of a message, however long it is and whatever a file put into it."""
    text = " ".join("".join(c if c.isprintable() or c.isspace() else "�" for c in text).split())
    return text if len(text) <= most else text[:most] + " …"


def complain(message):
    """The one line about a mistake, where anybody can read it; the exit code."""
    try:
        print(f"error: {printable(message)}", file=sys.stderr, flush=True)
    except (AttributeError, OSError, ValueError):      # stderr is closed, or full
        sys.stderr = None
    return 2


SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


def interrupted(*_):
    """As Ctrl-C, but once: a terminal that is closed sends SIGHUP twice, and a save goes on."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def run(main):
    """Run a command's main() and exit: 2 and one line for a user's mistake, 130 for Ctrl-C."""
    for number in SIGNALS:                             # as Ctrl-C: what is done is kept
        if signal.getsignal(number) == signal.SIG_DFL:     # nohup has it ignored
            signal.signal(number, interrupted)
    if signal.getsignal(signal.SIGINT) == signal.SIG_DFL:  # __init__.py has set it so
        signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.stdout = sys.stdout or open(os.devnull, "w")   # `>&-` has closed it
    sys.stdout.reconfigure(errors="backslashreplace")  # τ where the terminal knows only ASCII
    try:
        try:
            with np.errstate(over="ignore", invalid="ignore"):  # it is found where it shows
                code = main()
        finally:
            sys.stdout.flush()
    except UserError as error:
        code = complain(str(error))
    except np.linalg.LinAlgError as error:             # as large as a high rate makes latents
        code = complain(f"the latents cannot be measured ({error}): lower --learning-rate")
    except MemoryError:
        code = complain("this does not fit into memory: choose smaller sizes")
    except KeyboardInterrupt:
        code = 130
    except OSError as error:                           # the output: files raise UserError
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 141                                     # `… | head` has read enough
        if not isinstance(error, BrokenPipeError):
            code = complain(f"cannot write the output: {error.strerror}")
    sys.exit(code)
