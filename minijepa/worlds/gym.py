"""The rooms as an environment of Gymnasium: any agent of that ecosystem can be put into them."""

import numpy as np

from minijepa.options import UserError
from minijepa.worlds.maps import NEAR, SIDE, STEP, Map

try:
    import gymnasium
    from gymnasium.spaces import Box, Dict
except ImportError:
    raise UserError("the environment needs gymnasium: pip install 'minijepa[gym]'") from None


class RoomsEnv(gymnasium.Env):
    """Walk to the goal that is shown: what is seen, and what would be seen there, 256 pixels each.

    An action is a step (dx, dy) in units of the longest, and shortened to it. The reward is 1 on
    arrival, which ends the episode, else 0; after the steps that a map allows it is truncated.
    """

    def __init__(self, map="middle", q=1.0):
        self.map, self.q = Map(map), q
        picture = Box(-1, 1.5, (SIDE**2,), np.float32)
        self.observation_space = Dict({"seen": picture, "goal": picture})
        self.action_space = Box(-1, 1, (2,), np.float32)

    def observe(self):
        seen = self.map.see(self.position, self.np_random, self.q)
        return ({"seen": seen, "goal": self.goal_seen.copy()},
                {"position": self.position.copy(), "goal": self.goal.copy()})

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        (self.position,), (self.goal,) = self.map.tasks(1, self.np_random)
        self.goal_seen, self.steps = self.map.see(self.goal, self.np_random, self.q), 0
        return self.observe()

    def step(self, action):
        action = action * STEP / max(np.linalg.norm(action), 1)
        self.position, self.steps = self.map.move(self.position, action), self.steps + 1
        arrived = bool(np.linalg.norm(self.position - self.goal) < NEAR)
        late = not arrived and self.steps >= self.map.steps
        observation, info = self.observe()
        return observation, float(arrived), arrived, late, info
