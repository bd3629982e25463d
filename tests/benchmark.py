"""Time our training steps and PyTorch's, whole trainings of both, and the floor under the steps.

    python tests/benchmark.py [--json FILE] [--plot FILE] [--quick]

What is compared runs by turns in one process (A B A B …), on one thread each, and medians are
printed: read the ratios, not the microseconds. The floor is the matrix products of a step, with
NumPy and nothing else. Without PyTorch only ours and the floor are timed.
"""

import os

for threads in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[threads] = "1"                          # before NumPy and PyTorch are imported

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from minijepa.jepa import ToyJEPA
from minijepa.layers import Linear
from minijepa.optimizers import Adam
from minijepa.train import Training
from minijepa.worlds import WORLDS

try:
    import torch
    from torch_twin import ToyJEPA as Listing
    from torch_twin import tensors, trained, training_step, twin

    torch.set_num_threads(1)
except ImportError:
    torch = None

ARTICLE = {"vocabulary": 60, "tokens": 5, "hidden": 64, "batch": 32}
SIZES = [
    *({"batch": batch} for batch in (32, 64, 256)),
    *({"hidden": hidden, "batch": 256} for hidden in (256, 512, 1024)),
    *({"vocabulary": vocabulary, "batch": 256} for vocabulary in (1_000, 50_000)),
    *({"tokens": tokens, "batch": 256} for tokens in (4, 32)),
]
VARIANTS = ["eager", "fused", "compile"] if torch else []
RATIOS = {"ours/floor": 12, "eager/ours": 12, "fastest/ours": 14}              # widths


def our_step(model, batch, learning_rate):
    optimizer = Adam(*model.trained(), learning_rate)

    def step():                                                # of train.train_epoch
        loss, backward = model.forward(*batch)
        model.grad[:] = 0
        backward()
        optimizer.step()
        model.update_target()
    return step


def torch_step(model, batch, learning_rate, variant):
    optimizer = torch.optim.Adam(trained(model), learning_rate, fused=variant == "fused" or None)
    if variant == "compile":
        model.forward = torch.compile(model.forward)
    return lambda: training_step(model, optimizer, *batch)


def floor(model, batch):
    """The matrix products of a step: what each Linear is given in one, and given back.

    Nobody needs the gradient of what is seen, so no product is counted for it.
    """
    x, y, _ = batch
    seen, calls, forward = [x, y], [], Linear.forward

    def recorded(layer, x):
        output, backward = forward(layer, x)
        rows = x.reshape(-1, x.shape[-1])
        dy = np.ones((len(rows), output.shape[-1]), x.dtype)
        call = {"x": rows, "weight": layer.weight.value, "dy": dy, "trained": False,
                "is_first": any(x is each for each in seen)}
        calls.append(call)

        def undo(dy):
            call["trained"] = True
            return backward(dy)
        return output, undo

    Linear.forward = recorded
    model.forward(*batch)[1]()
    Linear.forward = forward

    def products():
        for call in calls:
            call["x"] @ call["weight"].T
            if call["trained"]:
                call["dy"].T @ call["x"]
                if not call["is_first"]:
                    call["dy"] @ call["weight"]
    return products


def interleaved(steps, seconds):
    """{name: [seconds per call, …]}, the steps by turns; each turn lasts a few milliseconds."""
    calls = {}
    for name, step in steps.items():
        for _ in range(5):
            step()                                             # warm up, compile
        started = time.perf_counter()
        step()
        calls[name] = max(1, int(0.02 / (time.perf_counter() - started)))
    times = {name: [] for name in steps}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times[name]) < 7:
        for name, step in steps.items():
            started = time.perf_counter()
            for _ in range(calls[name]):
                step()
            times[name].append((time.perf_counter() - started) / calls[name])
    return times


def time_steps(model, batch, learning_rate, make_theirs, their_batch, seconds):
    """The median µs a step of each, their spread, and the ratios."""
    steps = {"ours": our_step(model, batch, learning_rate), "floor": floor(model, batch)}
    for variant in VARIANTS:
        try:
            step = torch_step(make_theirs(), their_batch(), learning_rate, variant)
            step()
            steps[variant] = step
        except Exception as error:                             # torch.compile wants a C++ compiler
            print(f"(torch {variant} does not work here: {type(error).__name__})")
    times = interleaved(steps, seconds)
    median = {name: statistics.median(values) * 1e6 for name, values in times.items()}
    spread = {name: [1e6 * value for value in statistics.quantiles(values, n=10)[::8]]
              for name, values in times.items()}               # first and ninth decile
    row = {"median_us": median, "deciles_us": spread,
           "ours/floor": median["ours"] / median["floor"]}
    if torch:
        row["eager/ours"] = median["eager"] / median["ours"]
        row["fastest/ours"] = min(median[name] for name in median.keys() & VARIANTS) \
            / median["ours"]
    return row


def time_article(changed, seconds):
    """A row of the article's model, against its listing: no word is padded, and no mean masked."""
    size = {**ARTICLE, **changed}
    vocabulary, tokens, hidden, batch = size.values()
    rng, latent = np.random.default_rng(0), hidden // 2
    context_ids = rng.integers(0, vocabulary, (batch, tokens))
    y = rng.integers(0, vocabulary, (1, batch))
    return {**size, **time_steps(
        ToyJEPA(vocabulary, rng, latent, hidden, latent),
        ((context_ids, np.ones(context_ids.shape, bool)), y, None), 3e-3,
        lambda: Listing(vocabulary, latent, hidden, latent),
        lambda: (torch.from_numpy(context_ids), torch.from_numpy(y[0])), seconds)}


def time_world(name, seconds):
    """A row of a world at its defaults, against the twin of its model."""
    training = Training.start(name, {})
    config, model = training.config, training.model
    batch = next(iter(training.world.batches(config["batch_size"], training.rng)))
    return {"world": name, "hidden": config["hidden_dim"], "batch": config["batch_size"],
            **time_steps(model, batch, config["learning_rate"], lambda: twin(model),
                         lambda: tensors(batch), seconds)}


def torch_training(name, variant):
    """A world's default training as a PyTorch script would do it, on the same batches.

    Ours does more in its time: before the training it takes the loss of an epoch, it measures ten
    times, and after each epoch it copies what a checkpoint keeps.
    """
    training = Training.start(name, {})
    world, config, model = training.world, training.config, twin(training.model)
    optimizer = torch.optim.Adam(trained(model), fused=variant == "fused" or None)
    for training.epoch in range(config["epochs"]):
        optimizer.param_groups[0]["lr"] = training.learning_rate()
        world.schedule(model, training.epoch / config["epochs"])
        for batch in world.batches(config["batch_size"], training.rng):
            training_step(model, optimizer, *tensors(batch))


def time_processes(commands, rounds):
    """Median seconds of whole processes, by turns."""
    times = {name: [] for name in commands}
    for _ in range(rounds + 1):
        for name, command in commands.items():
            started = time.perf_counter()
            subprocess.run([sys.executable, *command], check=True,
                           cwd=Path(__file__).resolve().parent.parent)
            times[name].append(time.perf_counter() - started)
    return {name: statistics.median(values[1:])                # the first warms the disk
            for name, values in times.items()}


def training_commands(world):
    """Ours and PyTorch's; `torch.compile` takes longer to compile than the training."""
    return {"ours": ["-m", "minijepa.train", world, "--quiet"],
            **{variant: [__file__, "--torch-training", world, variant]
               for variant in VARIANTS if variant != "compile"}}


def processor():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def print_steps(titles, rows):
    """A table of steps, a row each as soon as it is timed: the rows."""
    names = ["ours", "floor", *VARIANTS]
    print("\nµs a step  " + " ".join(f"{title:>10}" for title in titles) + "  "
          + " ".join(f"{name:>8}" for name in names)
          + "".join(f"{name:>{width}}" for name, width in RATIOS.items()), flush=True)
    printed = []
    for row in rows:
        cells = " ".join(f"{row['median_us'].get(name, float('nan')):8.0f}" for name in names)
        ratios = "".join(f"{row.get(name, float('nan')):{width}.2f}"
                         for name, width in RATIOS.items())
        print(f"{'':10} " + " ".join(f"{row[title]:>10}" for title in titles)
              + f"  {cells}{ratios}", flush=True)
        printed.append(row)
    return printed


def print_processes(quick):
    """The table of whole processes: {world: seconds of each}, and of the two imports."""
    imports = {f"import {name}": ["-c", f"import {name}"]
               for name in ("numpy", *(["torch"] if torch else []))}
    taken = {"imports": time_processes(imports, 2 if quick else 7)}
    print("\n" + ", ".join(f"{name} {took:.2f} s" for name, took in taken["imports"].items()))
    for name, world in WORLDS.items():
        rounds = min(2 if quick else 7, 1 + 20 // max(world.seconds, 1))
        seconds = taken[name] = time_processes(training_commands(name), rounds)
        cells = "  ".join(f"{each} {took:6.2f} s" for each, took in seconds.items())
        ratios = "".join(f"  {each}/ours {took / seconds['ours']:.2f}"
                         for each, took in seconds.items() if each != "ours")
        print(f"a whole training of {name:<10} {cells}{ratios}", flush=True)
    return taken


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--plot", metavar="FILE", help="needs matplotlib")
    parser.add_argument("--quick", action="store_true", help="a tenth of the time, noisier")
    parser.add_argument("--torch-training", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.torch_training:
        return torch_training(*arguments.torch_training)
    if arguments.plot:
        from minijepa.figures import need, plot_benchmark

        need(arguments.plot)

    theirs = f", PyTorch {torch.__version__}" if torch else "; no PyTorch: ours and the floor only"
    print(f"{processor()}, one thread; Python {platform.python_version()}, "
          f"NumPy {np.__version__}{theirs}")
    seconds = 0.6 if arguments.quick else 6
    rows = print_steps(ARTICLE, (time_article(changed, seconds) for changed in SIZES))
    worlds = print_steps(["world", "hidden", "batch"],
                         (time_world(name, seconds) for name in WORLDS))
    processes = print_processes(arguments.quick)
    if arguments.json:
        report = {"processor": processor(), "numpy": np.__version__,
                  "torch": torch and torch.__version__, "steps": rows, "worlds": worlds,
                  "processes": processes}
        Path(arguments.json).write_text(json.dumps(report, indent=1) + "\n")
    if arguments.plot:
        plot_benchmark(rows, arguments.plot)


if __name__ == "__main__":
    main()
