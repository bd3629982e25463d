"""Planning: hold the model, and search for the actions whose predicted latents come nearest a goal.

    energy(actions) = Σ_k D(ŝ_k, s_goal),   ŝ_1 … ŝ_K = predictor(s, actions)

It is known by the model alone what actions do: no map, no position, no reward. As V-JEPA 2-AC plans
(Assran et al. 2025).
"""

import numpy as np


def cem(energy, shape, rng, bound, samples=200, rounds=5, elite=10):
    """The cross-entropy method: a normal distribution is drawn toward where the energy is low.

    Draw samples z ~ N(mean, std²), bounded; keep the `elite` of lowest energy; their mean and std
    are the next round's; at first N(0, 1) (Rubinstein 1999).
    energy: (S, *shape) -> (S,); bound: z -> z that is allowed  ->  the last mean, bounded (*shape).
    """
    mean, std = np.zeros(shape, np.float32), np.ones(shape, np.float32)
    for _ in range(rounds):
        z = bound(mean + std * rng.standard_normal((samples, *shape), np.float32))
        best = z[np.argsort(energy(z))[:elite]]                                # (elite, *shape)
        mean, std = best.mean(axis=0), best.std(axis=0)
    return bound(mean)


def within(length):
    """Bounds actions (..., A) to that length."""
    def bound(actions):
        norm = np.linalg.norm(actions, axis=-1, keepdims=True)
        return actions * np.minimum(1, length / np.maximum(norm, 1e-9))
    return bound


def root(predictions, goal):
    """√ of the mean squared error: (..., L), (L,) -> (...). Near the goal it is still steep."""
    return np.sqrt(squared(predictions, goal))


def squared(predictions, goal):
    """The mean squared error: (..., L), (L,) -> (...)."""
    return ((predictions - goal) ** 2).mean(axis=-1)


class Planner:
    """Plans with a model that is told actions: what is seen, and the goal  ->  the next actions.

    horizon: actions in a plan, each held for `hold` steps; acts: how many are taken before it plans
    again, from what is then seen. told: how many actions the model is told at once. search: the
    samples, rounds and elite of `cem`.
    """

    def __init__(self, model, rng, length, horizon=32, hold=4, acts=4, told=1, distance=root,
                 **search):
        self.model, self.rng, self.bound = model, rng, within(length)
        self.horizon, self.hold, self.acts, self.told = horizon, hold, acts, told
        self.distance, self.search = distance, search

    def __call__(self, x, goal, truth=None):
        """What is seen, and the goal as it would be seen  ->  actions (acts, A)."""
        s, s_goal = (self.model.encode_context(each)[0] for each in (x, goal))
        return self.plan(s, s_goal)[:self.acts]

    def rollout(self, s, actions):
        """A latent (L,), actions (S, H, A)  ->  the predicted latents (H / told, S, L)."""
        z = actions.reshape(len(actions), -1, self.told * actions.shape[-1]).swapaxes(0, 1)
        s = np.broadcast_to(s, (len(actions), len(s)))
        return self.model.predictor.forward(s, z.astype(s.dtype))[0]

    def energies(self, s, s_goal, actions, distance=None):
        """Of plans (S, H, A): the sum of the distances to the goal, over the way  ->  (S,)."""
        return (distance or self.distance)(self.rollout(s, actions), s_goal).sum(axis=0)

    def plan(self, s, s_goal, distance=None):
        """From a latent toward another: actions (horizon, A)."""
        def held(z):
            return np.repeat(z, self.hold, axis=-2)

        z = cem(lambda z: self.energies(s, s_goal, held(z), distance),
                (self.horizon // self.hold, 2), self.rng, self.bound, **self.search)
        return held(z)

    def landscape(self, s, s_goal, side=31):
        """Of each single action (dx, dy) the energy [dy, dx] (side, side); the lowest action."""
        d = np.linspace(-1, 1, side) * np.linalg.norm(self.bound(np.array([1e9, 0])))
        actions = np.stack(np.meshgrid(d, d), axis=-1).reshape(-1, 1, 2)       # (side², 1, 2)
        energy = self.energies(s, s_goal, actions)
        energy[(self.bound(actions) != actions).any(axis=(1, 2))] = np.nan     # too long
        return energy.reshape(side, side), actions[np.nanargmin(energy), 0]


class TwoScales:
    """Plans coarse toward the goal, and fine toward the first latent of that plan, its sub-goal.

    coarse and fine are Planners; the coarse model's x are the fine model's latents. Where no later
    latent of the coarse plan is nearer to the goal than the first one, the goal is the sub-goal.
    """

    def __init__(self, coarse, fine):
        self.coarse, self.fine = coarse, fine

    def __call__(self, x, goal, truth=None):
        s, s_goal = (self.fine.model.encode_context(each)[0] for each in (x, goal))
        above, above_goal = (self.coarse.model.encode_context(each)[0] for each in (s, s_goal))
        plan = self.coarse.plan(above, above_goal)
        way = self.coarse.rollout(above, plan[None])[:, 0]                     # (K, L)
        if self.coarse.distance(way, above_goal).argmin() == 0:
            return self.fine.plan(s, s_goal)[:self.fine.acts]
        return self.fine.plan(s, way[0], self.from_above)[:self.fine.acts]

    def from_above(self, predictions, subgoal):
        """The distance of fine latents to a coarse one."""
        return self.coarse.distance(self.coarse.model.encode_context(predictions)[0], subgoal)
