"""Tables over seeds, kept as files: a claim is about more seeds than one.

    python tests/tables.py make FILE SEEDS WORLD [options of `python -m minijepa.train WORLD`]
    python tests/tables.py make FILE SEEDS plan [options of `python -m minijepa.plan`]
    python tests/tables.py show FILE [COLUMN …]
    python tests/tables.py again FILE NUMBER

make: trains once for each seed ("0-9,40-49") and keeps what `--json` gives. show: prints the mean
and the worst of each number over the seeds. again: trains one of the seeds anew, the NUMBER-th
(modulo their count), without the models it is compared with, and exits with 1 if its numbers are
others. The last two also take what `python -m minijepa.dial --json` wrote.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from minijepa import dial, plan
from minijepa.options import UserError, heading, line, run
from minijepa.worlds import world_class

# On another processor sums are rounded otherwise, and a training goes on from there
RELATIVE, ABSOLUTE = 0.25, 0.1
CLOCK = "seconds", "ms"                                # nobody promises these


def command_of(arguments):
    """What stands after python -m: arguments begin with a world to train in, or are a command."""
    what, *options = arguments
    return ["minijepa.plan", *options] if what == "plan" else ["minijepa.train", *arguments]


def numbers_of(seed, arguments):
    """What `python -m … --seed SEED --json` gives, and its seconds."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "run.json")
        command = [sys.executable, "-m", *command_of(arguments), "--seed", str(seed),
                   "--quiet", "--json", str(path)]
        subprocess.run(command, check=True)
        report = json.loads(path.read_text())
    return {"seed": seed, "seconds": report["seconds"], **rounded(report["result"])}


def rounded(result):
    """Five digits of each number: what is kept."""
    if isinstance(result, dict):
        return {key: rounded(value) for key, value in result.items()}
    return float(f"{result:.5g}") if isinstance(result, float) else result


def seeds_of(text):
    """"0-2,7" -> [0, 1, 2, 7]"""
    ranges = [part.split("-") for part in text.split(",")]
    return [seed for part in ranges for seed in range(int(part[0]), int(part[-1]) + 1)]


def make(path, seeds, *arguments):
    runs = []
    for seed in seeds_of(seeds):
        runs.append(numbers_of(seed, arguments))
        report = {"arguments": arguments, "seeds": seeds, "runs": runs}
        Path(path).write_text(json.dumps(report, ensure_ascii=False, indent=0) + "\n")
        print(f"seed {seed}: {runs[-1]['seconds']:.1f} s", flush=True)
    print(shown(report))


def spread(key, numbers, form):
    """The mean, and the worst: of errors, losses and costs the greatest, of all else the least."""
    errors = "rmse", "loss", "ms", "stray", "floor", "nearest", "decodings"
    worst = max if key.endswith(errors) else min
    return f"{np.mean(numbers):{form}} [{worst(numbers):{form}}]"


def shown(report, only=()):
    """The text of a table that was kept; of all columns, or of some."""
    if "rows" in report:
        columns = dial.columns_of(world_class(report["world"]))
        return "\n".join([heading(columns), *(line(row, columns) for row in report["rows"])])
    runs, what = report["runs"], report["arguments"][0]
    columns = plan.COLUMNS if what == "plan" else world_class(what).columns
    lines = [f"python -m {' '.join(command_of(report['arguments']))}, seeds {report['seeds']}: "
             "mean [worst]"]
    for name in [name for name, value in runs[0].items() if isinstance(value, dict)]:
        keys = dict.fromkeys(key for row in runs[0][name].values() for key in row)
        keys = [key for key in keys if key in only] or list(keys)
        forms = {key: columns.get(key, (key, ".3f")) for key in keys}
        titles = {"what": (name, "<44"), **{key: (forms[key][0], "<15") for key in keys}}
        lines.append(heading(titles).rstrip())
        for what, row in runs[0][name].items():
            cells = {key: spread(key, [each[name][what][key] for each in runs], forms[key][1])
                     if key in row else "" for key in keys}
            lines.append(line({"what": what, **cells}, titles).rstrip())
    return "\n".join(lines)


def again(path, number):
    """One run anew: of a table over seeds, or of a dial."""
    report, number = json.loads(Path(path).read_text()), int(number)
    if "rows" in report:
        row = report["rows"][number % len(report["rows"])]
        kept = row["runs"][number // len(report["rows"]) % len(row["runs"])]
        world = world_class(report["world"])
        given = {"q": row["q"], **dial.models_of(world)[row["model"]],
                 "learning_rate": kept["rate"], "seed": kept["seed"]}
        what, new = f"q = {row['q']}, {row['model']}", dial.measured(world, given)
    else:
        kept = report["runs"][number % len(report["runs"])]
        arguments = [each for each in report["arguments"] if each != "--compare"]
        what, new = " ".join(arguments), numbers_of(kept["seed"], arguments)
    others = list(differences(kept, new))
    print(f"{path}, {what}, seed {kept['seed']}: "
          + ("the same numbers" if not others else "other numbers\n" + "\n".join(others)))
    return bool(others)


def differences(kept, new, name=""):
    """The numbers that are others now; the clock's may be."""
    for key in new:
        if isinstance(new[key], dict):
            yield from differences(kept[key], new[key], f"{name}{key}: ")
        elif key not in CLOCK and not np.isclose(kept[key], new[key], RELATIVE, ABSOLUTE):
            yield f"{name}{key} was {kept[key]}, is {new[key]}"


def main(argv=None):
    command, *arguments = (sys.argv[1:] if argv is None else argv) or ["help"]
    if command == "make":
        return make(*arguments)
    if command == "show":
        return print(shown(json.loads(Path(arguments[0]).read_text()), arguments[1:]))
    if command == "again":
        return again(*arguments)
    raise UserError("wanted make, show or again: see the first lines of tests/tables.py")


if __name__ == "__main__":
    run(main)
