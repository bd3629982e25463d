"""Find the bug: a planner's rollout, finished, and wrong in one place.

    s (L,), a latent; actions (S, H, A): S plans of H actions
    rollout   ->  the predicted latents (H, S, L): plan by plan, what follows after each action
    energies  ->  (S,): of each plan the sum over the way of the distance to the goal

`python bug10.py` follows one plan by hand, compares, and passes. `python -m minijepa.exercises
check bug10` finds an error. Mend it; then answer: what will the agent do with such energies, and
why does nothing ever complain?
"""

import numpy as np

import minijepa.planning


class Planner(minijepa.planning.Planner):
    def rollout(self, s, actions):
        S, H, A = actions.shape
        z = actions.reshape(H // self.told, S, self.told * A)
        s = np.broadcast_to(s, (S, len(s)))
        return self.model.predictor.forward(s, z.astype(s.dtype))[0]


if __name__ == "__main__":
    from types import SimpleNamespace

    from minijepa.layers import Linear, Sequential
    from minijepa.predictors import Rollout, Told

    rng = np.random.default_rng(0)
    net = Told(Linear(3 + 2, 3, rng, np.float64), Sequential())
    planner = Planner(SimpleNamespace(predictor=Rollout(net)), rng, 1.0)
    s, plan = rng.standard_normal(3), rng.standard_normal((1, 4, 2))
    way, latent = planner.rollout(s, plan), s
    for k in range(4):
        latent = net.forward(latent, plan[0, k])[0]
        assert np.allclose(way[k, 0], latent), "naive check: failed"
    print("naive check: passed")
