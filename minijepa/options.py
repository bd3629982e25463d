"""What a user may set, and how a mistake is answered: one line, exit code 2, no traceback."""

import argparse
import difflib
import math
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass


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
    return read


def resolve(options, given):
    """Every option's value: what is given, read and checked, and the defaults for the rest."""
    for name in given:
        if name not in options:
            close = difflib.get_close_matches(name, options, 1)
            raise UserError(f"there is no option {name!r}" + (f"; did you mean {close[0]!r}?" if close else ""))
    values = {}
    for name, option in options.items():
        try:
            value = given.get(name, option.default)
            values[name] = value if value is option.default else option.read(value)
        except UserError:
            raise
        except ValueError as wanted:
            raise UserError(f"{flag(name)}: wanted {wanted}, was given {given[name]!r}") from None
    return values


def flag(name):
    """embed_dim -> --embed-dim"""
    return "--" + name.replace("_", "-")


class Parser(argparse.ArgumentParser):
    """argparse that answers a mistake with one line, and never guesses an abbreviated option."""

    def __init__(self, module, description):
        super().__init__(prog=f"python -m {module}", description=description, allow_abbrev=False,
                         formatter_class=argparse.RawDescriptionHelpFormatter)

    def add_options(self, options):
        """Add the options of a world or a command, each with its default in its help."""
        for name, option in options.items():
            text = option.help if option.default is None else f"{option.help} (default: {option.default})"
            self.add_argument(flag(name), default=argparse.SUPPRESS, metavar="X", help=text)

    def error(self, message):
        raise UserError(f"{message}; {self.prog} --help shows the options")


def run(main):
    """Run a command's main() and exit: 2 and one line for a user's mistake, 130 for Ctrl-C."""
    sys.stdout = sys.stdout or open(os.devnull, "w")   # `>&-` has closed it
    sys.stdout.reconfigure(errors="backslashreplace")  # τ where the terminal knows only ASCII
    try:
        try:
            code = main()
        finally:
            sys.stdout.flush()
    except UserError as error:
        print("error:", *str(error).splitlines(), file=sys.stderr)     # a file's name may hold a line break
        code = 2
    except MemoryError:
        print("error: this does not fit into memory: choose smaller sizes", file=sys.stderr)
        code = 2
    except KeyboardInterrupt:
        code = 130
    except OSError as error:                           # the output: files raise UserError
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 141                                     # `… | head` has read enough
        if not isinstance(error, BrokenPipeError):
            print(f"error: cannot write the output: {error.strerror}", file=sys.stderr)
            code = 2
    sys.exit(code)
