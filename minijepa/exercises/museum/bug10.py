from types import SimpleNamespace

import numpy as np

from minijepa.exercises.checks import E, Case
from minijepa.layers import Linear, Sequential
from minijepa.predictors import Rollout, Told

TITLE = "find the bug: a planner that mixes its plans"
SOURCE = "minijepa.planning:Planner.rollout"
HINTS = """
One plan is followed rightly, and several are not. What is different in memory?

The first number of z's second row should be plan 0's second action. Which is it?

reshape only reads the numbers on in their order, and exchanges no axes: that is swapaxes(0, 1).
"""
Z = "actions.reshape(len(actions), -1, self.told * actions.shape[-1]).swapaxes(0, 1)"
MISTAKES = r"""
### the plans are mixed: reshape to (H, S, A) reads the numbers on, where the axes should be
### exchanged
Z => actions.reshape(-1, len(actions), self.told * actions.shape[-1])
### the actions are told in the wrong order: the last one first
Z => actions.reshape(len(actions), -1, self.told * actions.shape[-1]).swapaxes(0, 1)[::-1]
### the plans are turned round: that of S plans the last comes first
Z => actions.reshape(len(actions), -1, self.told * actions.shape[-1])[::-1].swapaxes(0, 1)
### the axes are not exchanged: z is (H, S, A), steps first
Z => actions.reshape(len(actions), -1, self.told * actions.shape[-1])
### `told` is ignored: so many actions are told at once
Z => actions.swapaxes(0, 1)
### every plan is told the first plan's actions
Z
=> np.repeat(actions[:1], len(actions), 0).reshape(len(actions), -1, self.told *\
 actions.shape[-1]).swapaxes(0, 1)
""".replace("Z =>", Z + " =>").replace("Z\n=>", Z + " =>")


def cases():
    for S, H, told in (5, 4, 1), (3, 6, 2), (1, 4, 1), (4, 4, 1):
        def look(module, S=S, H=H, told=told):
            rng = np.random.default_rng(0)
            net = Told(Linear(E + 2 * told, E, rng, np.float64), Sequential())
            planner = module.Planner(SimpleNamespace(predictor=Rollout(net)), rng, 1.0, told=told)
            s, actions = rng.standard_normal(E), rng.standard_normal((S, H, 2))
            kept = actions.copy()
            way = planner.rollout(s, actions)
            return {"actions are written into": not np.array_equal(actions, kept),
                    "the predicted latents": way,
                    "the energies": planner.energies(s, rng.standard_normal(E), actions)}
        yield Case(f"Planner, {S} plans of {H} actions, {told} told at once", look)
