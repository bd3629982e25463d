"""Time our training step and PyTorch's, the whole process of both, and the floor under both.

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
from minijepa.optimizers import Adam

try:
    import torch
    from torch_twin import ToyJEPA as Twin
    from torch_twin import training_step

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
LEARNING_RATE, TAU = 3e-3, 0.99


def our_step(vocabulary, tokens, hidden, batch, rng):
    latent = hidden // 2
    model = ToyJEPA(vocabulary, rng, latent, hidden, latent, np.float32, "ema", TAU)
    optimizer = Adam(*model.trained(), LEARNING_RATE)
    context_ids = rng.integers(0, vocabulary, (batch, tokens))
    x, y = (context_ids, np.ones(context_ids.shape, bool)), rng.integers(0, vocabulary, (1, batch))

    def step():                                                # of train.train_epoch
        loss, backward = model.forward(x, y)
        model.grad[:] = 0
        backward()
        optimizer.step()
        model.update_target()
    return step


def torch_step(vocabulary, tokens, hidden, batch, rng, variant):
    latent = hidden // 2
    model = Twin(vocabulary, latent, hidden, latent, "ema", TAU)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(trained, LEARNING_RATE, fused=True if variant == "fused" else None)
    context_ids = torch.from_numpy(rng.integers(0, vocabulary, (batch, tokens)))
    target_ids = torch.from_numpy(rng.integers(0, vocabulary, batch))
    if variant == "compile":
        model.forward = torch.compile(model.forward)
    return lambda: training_step(model, optimizer, context_ids, target_ids)


def floor(vocabulary, tokens, hidden, batch, rng):
    """The 14 matrix products of a step: six Linears forward, backward those of the four trained."""
    latent = hidden // 2
    normal = lambda *shape: rng.standard_normal(shape, np.float32)
    layers = [(latent, hidden), (hidden, latent)]      # (in, out) of each of the three
    data = [(normal(batch, i), normal(o, i), normal(batch, o)) for i, o in layers]

    def products():
        for trained in (True, True, False):            # context encoder, predictor, target
            for x, weight, dy in data:
                x @ weight.T
                if trained:
                    dy.T @ x, dy @ weight
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


def time_steps(changed, seconds):
    """One row: the size, the median µs a step of each, their spread, and the ratios."""
    size = {**ARTICLE, **changed}
    rng = np.random.default_rng(0)
    steps = {"ours": our_step(**size, rng=rng), "floor": floor(**size, rng=rng)}
    if torch:
        for variant in ("eager", "fused", "compile"):
            try:
                step = torch_step(**size, rng=rng, variant=variant)
                step()
                steps[variant] = step
            except Exception as error:                         # torch.compile wants a C++ compiler
                print(f"(torch {variant} does not work here: {type(error).__name__})")
    times = interleaved(steps, seconds)
    median = {name: statistics.median(values) * 1e6 for name, values in times.items()}
    spread = {name: [1e6 * value for value in statistics.quantiles(values, n=10)[::8]]
              for name, values in times.items()}               # first and ninth decile
    row = {**size, "median_us": median, "deciles_us": spread,
           "ours/floor": median["ours"] / median["floor"]}
    if torch:
        row["eager/ours"] = median["eager"] / median["ours"]
        row["fastest/ours"] = min(median[name] for name in median
                                  if name not in ("ours", "floor")) / median["ours"]
    return row


def torch_training():
    """The default training as a PyTorch script would do it: the same batches, no measuring."""
    from minijepa.worlds.words import Words

    rng = np.random.default_rng(0)
    world = Words(rng)
    model = Twin(len(world.vocabulary))
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], LEARNING_RATE)
    for _ in range(60):
        for (context_ids, mask), target_ids, _ in world.batches(32, rng):
            training_step(model, optimizer, torch.from_numpy(context_ids),
                          torch.from_numpy(target_ids[0]), torch.from_numpy(mask))


def time_processes(rounds):
    """Median seconds of whole processes, by turns."""
    commands = {"ours": ["-m", "minijepa.train", "--quiet"], "import numpy": ["-c", "import numpy"]}
    if torch:
        commands["torch training"] = [__file__, "--torch-training"]
        commands["import torch"] = ["-c", "import torch"]
    times = {name: [] for name in commands}
    for _ in range(rounds + 1):
        for name, command in commands.items():
            started = time.perf_counter()
            subprocess.run([sys.executable, *command], check=True,
                           cwd=Path(__file__).resolve().parent.parent)
            times[name].append(time.perf_counter() - started)
    return {name: statistics.median(values[1:])            # the first warms the disk
            for name, values in times.items()}


def processor():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def print_steps(seconds):
    """The table of the steps, a row a size: the rows."""
    names = ["ours", "floor", *(["eager", "fused", "compile"] if torch else [])]
    print(f"\nµs a step    {'vocabulary':>10} {'tokens':>6} {'hidden':>6} {'batch':>5}  "
          + " ".join(f"{name:>8}" for name in names) + "  ours/floor  eager/ours  fastest/ours")
    rows = []
    for changed in SIZES:
        row = time_steps(changed, seconds)
        rows.append(row)
        cells = " ".join(f"{row['median_us'].get(name, float('nan')):8.0f}" for name in names)
        ratios = "".join(f"{row.get(name, float('nan')):{width}.2f}" for name, width in
                         (("ours/floor", 12), ("eager/ours", 12), ("fastest/ours", 14)))
        print(f"{'':12} {row['vocabulary']:>10} {row['tokens']:>6} {row['hidden']:>6} "
              f"{row['batch']:>5}  {cells}{ratios}", flush=True)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--plot", metavar="FILE", help="needs matplotlib")
    parser.add_argument("--quick", action="store_true", help="a tenth of the time, noisier")
    parser.add_argument("--torch-training", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.torch_training:
        return torch_training()
    if arguments.plot:
        from minijepa.figures import need, plot_benchmark

        need(arguments.plot)

    theirs = f", PyTorch {torch.__version__}" if torch else "; no PyTorch: ours and the floor only"
    print(f"{processor()}, one thread; Python {platform.python_version()}, "
          f"NumPy {np.__version__}{theirs}")
    rows = print_steps(0.6 if arguments.quick else 6)
    processes = time_processes(2 if arguments.quick else 7)
    print("\nwhole process          seconds   / ours")
    for name, seconds in processes.items():
        print(f"{name:<20} {seconds:9.2f} {seconds / processes['ours']:8.2f}")
    if arguments.json:
        report = {"processor": processor(), "numpy": np.__version__,
                  "torch": torch and torch.__version__, "steps": rows, "processes": processes}
        Path(arguments.json).write_text(json.dumps(report, indent=1) + "\n")
    if arguments.plot:
        plot_benchmark(rows, arguments.plot)


if __name__ == "__main__":
    main()
