"""Planning: the search finds a minimum that is known, and planners do as their docstrings say."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

from minijepa.jepa import JEPA
from minijepa.layers import Linear, Sequential
from minijepa.modules import Module
from minijepa.planning import Planner, TwoScales, cem, root, squared, within
from minijepa.predictors import Rollout

seeds = pytest.mark.parametrize("seed", range(5))


class Adds(Module):
    """A world without walls: s + z, where z may be several steps side by side."""

    def __init__(self):
        self.unused = Linear(1, 1, np.random.default_rng(0))

    def forward(self, s, z):
        return s + z.reshape(*z.shape[:-1], -1, 2).sum(axis=-2), None


def adds():
    return JEPA(Sequential(), Sequential(), Rollout(Adds()), "stopgrad")


@seeds
def test_cem_finds_the_minimum_of_a_quadratic(seed):
    rng = np.random.default_rng(seed)
    lowest, weight = rng.uniform(-1, 1, (4, 2)), rng.uniform(0.5, 2, (4, 2))
    drawn = []

    def energy(z):
        drawn.append(z.shape)
        return (weight * (z - lowest) ** 2).sum(axis=(1, 2))

    z = cem(energy, (4, 2), rng, lambda z: z, samples=300, rounds=12, elite=30)
    assert np.abs(z - lowest).max() < 0.05 and z.dtype == np.float32
    assert drawn == [(300, 4, 2)] * 12


@seeds
@pytest.mark.parametrize("rounds", [1, 2])
def test_a_round_of_cem_by_hand(seed, rounds):
    rng, same = np.random.default_rng(seed), np.random.default_rng(seed)
    found = cem(lambda z: np.abs(z - 0.3).sum(axis=1), (3,), rng, lambda z: z, 20, rounds, elite=4)
    mean, std = np.zeros(3), np.ones(3)
    for _ in range(rounds):
        drawn = [[mean[i] + std[i] * noise for i, noise in enumerate(row)]
                 for row in same.standard_normal((20, 3), np.float32)]
        best = sorted(drawn, key=lambda z: sum(abs(number - 0.3) for number in z))[:4]
        mean = [sum(column) / 4 for column in zip(*best)]
        std = [(sum((z - m) ** 2 for z in column) / 4) ** 0.5
               for column, m in zip(zip(*best), mean)]
    np.testing.assert_allclose(found, mean, rtol=0, atol=1e-6)


@seeds
def test_cem_stays_within_the_bound(seed):
    rng, far = np.random.default_rng(seed), np.array([3.0, 4.0])
    z = cem(lambda z: ((z - far) ** 2).sum(axis=1), (2,), rng, within(1.5), rounds=10)
    assert np.linalg.norm(z) <= 1.5 + 1e-6
    np.testing.assert_allclose(z, [0.9, 1.2], atol=0.05)       # the nearest that is allowed


def test_within_shortens_and_does_not_turn():
    actions = np.array([[3.0, 4.0], [0.3, 0.4], [0.0, 0.0]])
    np.testing.assert_allclose(within(1.5)(actions), [[0.9, 1.2], [0.3, 0.4], [0, 0]])


def test_the_distances_are_means_over_the_latent():
    s = np.array([[[3.0, 4.0]], [[0.0, 0.0]]])
    np.testing.assert_allclose(squared(s, np.zeros(2)), [[12.5], [0]])
    np.testing.assert_allclose(root(s, np.zeros(2)), [[12.5**0.5], [0]])


def test_a_rollout_is_told_one_action_or_several_at_once():
    rng = np.random.default_rng(0)
    actions = rng.standard_normal((5, 8, 2)).astype(np.float32)
    s = np.array([1, 2], np.float32)
    way = Planner(adds(), rng, 1.5).rollout(s, actions)                        # (8, 5, 2)
    np.testing.assert_allclose(way, s + actions.cumsum(axis=1).swapaxes(0, 1), rtol=1e-5)
    coarse = Planner(adds(), rng, 1.5, told=4).rollout(s, actions)
    np.testing.assert_allclose(coarse, way[[3, 7]], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("scales", [1, 2])
def test_where_nothing_is_in_the_way_a_plan_leads_to_the_goal(scales):
    rng, model = np.random.default_rng(0), adds()
    agent = Planner(model, rng, 1.5, horizon=8, hold=2)
    if scales == 2:
        agent = TwoScales(Planner(model, rng, 1.5, horizon=32, hold=8, told=8), agent)
    place, goal = np.array([0, 0], np.float32), np.array([7, -3], np.float32)
    for _ in range(3):
        actions = agent(place, goal)
        assert actions.shape == (4, 2) and np.linalg.norm(actions, axis=1).max() <= 1.5 + 1e-5
        np.testing.assert_array_equal(actions[::2], actions[1::2])             # each is held
        place = place + actions.sum(axis=0)
    assert np.linalg.norm(place - goal) < 1


def test_what_is_taken_of_a_plan_is_its_beginning_and_its_energy_the_sum_over_the_way():
    place, goal = np.array([0.5, -1], np.float32), np.array([2, 3], np.float32)
    plan = Planner(adds(), np.random.default_rng(3), 1.5, horizon=6, hold=3).plan(place, goal)
    for acts in 1, 5:
        agent = Planner(adds(), np.random.default_rng(3), 1.5, horizon=6, hold=3, acts=acts)
        np.testing.assert_array_equal(agent(place, goal), plan[:acts])
    energy, at = 0, place.astype(float)
    for action in plan:
        at = at + action
        energy += math.dist(at, goal) / 2**0.5         # the root of the *mean* of two squares
    assert agent.energies(place, goal, plan[None]) == pytest.approx(energy, rel=1e-5)


def test_the_landscape_has_dx_to_the_right_dy_upward_and_its_minimum_at_the_goal():
    agent = Planner(adds(), np.random.default_rng(0), 1.5)
    place, goal = np.array([2, 3], np.float32), np.array([2.9, 2.7], np.float32)
    energy, lowest = agent.landscape(place, goal, side=31)                     # steps of .1
    np.testing.assert_allclose(lowest, [0.9, -0.3], atol=1e-6)
    for row, column in np.ndindex(31, 31):
        dx, dy = (column - 15) / 10, (row - 15) / 10
        if abs(math.hypot(dx, dy) - 1.5) > 1e-6:       # on the circle rounding decides
            wanted = math.hypot(dx - 0.9, dy + 0.3) / 2**0.5
            assert np.isnan(energy[row, column]) if math.hypot(dx, dy) > 1.5 else \
                energy[row, column] == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("way, wanted", [([[4, 0], [8, 0]], "sub-goal"), ([[9, 0], [9, 3]], "goal"),
                                         ([[9, 0], [30, 0]], "goal")])
def test_the_sub_goal_is_the_first_latent_of_the_coarse_plan_unless_none_is_nearer(way, wanted):
    """The goal is 10, 0; the coarse latent of a fine one is its negative."""
    class Negative:
        def encode_context(self, s):
            return -s, None

    asked = []
    coarse = SimpleNamespace(
        model=Negative(), distance=root, plan=lambda s, goal: np.array([s, goal]),
        rollout=lambda s, plan: -np.array(way, float)[:, None])
    fine = SimpleNamespace(model=adds(), acts=2, plan=lambda *given: asked.append(given) or "abcd")
    assert TwoScales(coarse, fine)(np.array([1.0, 0]), np.array([10.0, 0])) == "ab"
    (s, toward, *distance), = asked
    np.testing.assert_array_equal(s, [1, 0])
    if wanted == "goal":
        np.testing.assert_array_equal(toward, [10, 0])
        assert distance == []
    else:
        np.testing.assert_array_equal(toward, [-4, 0])
        predicted = np.array([[[4.0, 0]], [[7.0, 4.0]]])       # 0 and 5 from the sub-goal
        np.testing.assert_allclose(distance[0](predicted, toward), [[0], [5 / 2**0.5]])


def test_the_same_generator_gives_the_same_plan():
    def plan(seed):
        return Planner(adds(), np.random.default_rng(seed), 1.5)(np.zeros(2, np.float32),
                                                                 np.ones(2, np.float32))

    np.testing.assert_array_equal(plan(1), plan(1))
    assert not np.array_equal(plan(1), plan(2))
