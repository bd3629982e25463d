"""Who plays in the rooms: a model that plans, and what it is held against."""

import numpy as np

from minijepa.planning import Planner, TwoScales, within
from minijepa.worlds.coarse import MACRO
from minijepa.worlds.maps import STEP


class Simulator(Planner):
    """Plans in the true rooms with the true length of the way: the ceiling."""

    def __init__(self, map, rng, **settings):
        super().__init__(map, rng, STEP, distance=map.way, **settings)

    def __call__(self, x, goal, truth):
        return self.plan(*truth)[:self.acts]

    def rollout(self, position, actions):
        start = np.broadcast_to(position, actions[:, 0].shape)                 # (S, 2)
        return self.model.follow(start, actions.swapaxes(0, 1))[1:]


def two_scales(world, model, coarse, rng, **settings):
    """Plans eight macro-actions coarse and eight actions fine: 16 rows of predictors a sample."""
    return TwoScales(
        Planner(coarse, rng, STEP, horizon=8 * MACRO, hold=MACRO, told=MACRO, **settings),
        world.planner(model, rng, horizon=MACRO, **settings))


def generator(training):
    """Each agent has its own: what it does is the same beside any others."""
    return np.random.default_rng(training.config["seed"])


def planners(training, coarse, others, settings):
    """{name: agent}: the models, each planning for itself."""
    world, models = training.world, {"this model": training.model, **others}
    rows = {label: world.planner(each, generator(training), **settings)
            for label, each in models.items()}
    if coarse is None:
        return rows
    both = {key: settings[key] for key in ("acts", "samples") if key in settings}
    return {"two scales": two_scales(world, training.model, coarse, generator(training), **both),
            **rows}


def controls(training, settings):
    """{name: agent}: what the models are held against."""
    world, rng = training.world, generator(training)
    # All plans are equally good, so ten are as many as it needs: the mean of `elite` of them
    blind = {**settings, "samples": 10, "distance": lambda s, goal: 0 * s[..., 0]}
    plans = {"untrained encoder": (world.untrained(training.config), settings),
             "greedy, one action ahead": (training.model, {"horizon": 1, "hold": 1, "acts": 1}),
             "without a goal": (training.model, blind)}
    return {**{name: world.planner(model, generator(training), **own)
               for name, (model, own) in plans.items()},
            "random": lambda x, goal, truth: within(STEP)(rng.uniform(-STEP, STEP, (1, 2))),
            "straight, told where it is": lambda x, goal, truth: within(STEP)(truth[1:] - truth[0]),
            "told the map and the way": Simulator(world.map, generator(training), **settings)}
