import numpy as np

from minijepa.exercises.checks import Case

TITLE = "the cross-entropy method: one round of a search"
SOURCE = "minijepa.planning:cem"
HINTS = """
z = bound(mean + std * rng.standard_normal((samples, *shape), np.float32)): many plans around mean.

np.argsort(energy(z))[:elite] are the places of the best. Their plans are z[...]; mean and std are
over the plans, axis=0.
"""
DRAW = "bound(mean + std * rng.standard_normal((samples, *shape), np.float32))"
BEST = "np.argsort(energy(z))[:elite]"
NEXT = "mean, std = best.mean(axis=0), best.std(axis=0)"
MISTAKES = r"""
### the worst are kept: argsort sorts from small to large, and a low energy is good
BEST => np.argsort(-energy(z))[:elite]
# or
BEST => np.argsort(energy(z))[-elite:]
### all samples are kept, and not the elite alone
BEST => np.argsort(energy(z))
### the first samples are kept, without asking their energy
BEST => np.arange(elite)
### only the best one is kept, and not the elite
BEST => np.argsort(energy(z))[:1]
### the elite is one too few or too many
BEST => np.argsort(energy(z))[:elite - 1]
# or
BEST => np.argsort(energy(z))[:elite + 1]
### the best one is left out of the elite
BEST => np.argsort(energy(z))[1:elite + 1]
### std stays as it was: the search never narrows
NEXT => mean = best.mean(axis=0)
### mean stays as it was
NEXT => std = best.std(axis=0)
### std is the variance: its root is asked
best.std(axis=0) => best.var(axis=0)
### std divides by elite − 1, and should divide by elite (np.std's own way)
best.std(axis=0) => best.std(axis=0, ddof=1)
### one std for all entries: each has its own (axis=0)
best.std(axis=0) => best.std()
### one mean for all entries: each has its own (axis=0)
best.mean(axis=0) => best.mean()
### mean is the best sample: it is the mean of the elite
best.mean(axis=0) => best[0]
### mean is the median of the elite
best.mean(axis=0) => np.median(best, axis=0)
### mean and std are of all samples, and not of the elite
NEXT => mean, std = z.mean(axis=0), z.std(axis=0)
### std is measured around the old mean
best.std(axis=0) => np.sqrt(((best - mean)**2).mean(axis=0))
### std is halved from round to round, whatever the elite
best.std(axis=0) => std / 2
### the new mean is averaged with the old one
best.mean(axis=0) => (mean + best.mean(axis=0)) / 2
### the elite is weighted by its energy: all of it counts alike
best.mean(axis=0) => np.average(best, axis=0, weights=np.exp(-np.sort(energy(z))[:elite]))
### the samples are not bounded
DRAW => mean + std * rng.standard_normal((samples, *shape), np.float32)
### the noise is bounded, and not the sample: mean is outside of bound
DRAW => mean + bound(std * rng.standard_normal((samples, *shape), np.float32))
### mean is left out of the samples
mean + std * => std *
### std is left out of the samples
mean + std * => mean +
### the variance stands where std belongs in the samples
mean + std * => mean + std**2 *
### std is divided by in the samples
mean + std * rng.standard_normal((samples, *shape), np.float32)
=> mean + rng.standard_normal((samples, *shape), np.float32) / std
### the draw is uniform, and not normal
DRAW => bound(mean + std * rng.uniform(-1, 1, (samples, *shape)).astype(np.float32))
### one sample is drawn for all: samples of them are asked
DRAW => bound(mean + std * np.repeat(rng.standard_normal((1, *shape), np.float32), samples, axis=0))
### it returns after the first round
NEXT => return bound(best.mean(axis=0))
""".replace("DRAW", DRAW).replace("BEST", BEST).replace("NEXT", NEXT)


def cases():
    for shape, rounds, samples, elite in [((3, 2), 1, 40, 6), ((3, 2), 4, 40, 6), ((4,), 2, 15, 3)]:
        goal = np.linspace(-1.5, 0.9, int(np.prod(shape))).reshape(shape).astype(np.float32)

        def look(module, shape=shape, goal=goal, rounds=rounds, samples=samples, elite=elite):
            asked = []

            def energy(z):
                asked.append(np.array(z))
                return ((z - goal)**2).reshape(len(z), -1).sum(axis=1)

            found = module.cem(energy, shape, np.random.default_rng(1),
                               lambda z: np.clip(z, -1, 1), samples, rounds, elite)
            return {"how many energies were asked": len(asked) and sum(map(len, asked)),
                    "energies of samples that are not bounded were asked":
                    bool(any(np.abs(z).max() > 1 for z in asked)), "the last mean, bounded": found,
                    "_first": asked[0] if asked else 0}
        yield Case(f"cem, shape {shape}, {samples} samples, elite = {elite}, rounds = {rounds}",
                   look, 1e-5)
