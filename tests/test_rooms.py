"""The rooms: walls stop, nothing crosses them, what is seen is where the agent is; and the command."""

import json
from pathlib import Path

import numpy as np
import pytest

from minijepa import checkpoint, plan
from minijepa.options import UserError
from minijepa.train import Training, train
from minijepa.worlds.agents import agents
from minijepa.worlds.coarse import MACRO, Coarse
from minijepa.worlds.maps import HALF, MAPS, NEAR, SIDE, SIZE, STEP, Map

every_map = pytest.mark.parametrize("name", MAPS)
SMALL = {"epochs": 1, "hidden_dim": 6, "latent_dim": 4, "batch_size": 8}


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def small(**given):
    training = Training.start("rooms", {**SMALL, **given})
    for _ in training.rows():
        pass
    return training


# The simulator

@every_map
def test_walks_stay_in_the_box_and_out_of_the_walls(name):
    map = Map(name)
    position, action = map.walks(500, 50, np.random.default_rng(0))
    assert position.min() >= 0 and position.max() <= SIZE and not map.solid(position).any()
    assert np.linalg.norm(action, axis=-1).max() <= STEP
    moved = np.abs(np.diff(position, axis=0))
    assert (moved <= np.abs(action) + 1e-9).all()              # a wall only ever shortens a step


@every_map
def test_the_only_way_into_another_room_is_a_door(name):
    map = Map(name)
    position, _ = map.walks(500, 50, np.random.default_rng(1))
    room = map.room(position)
    steps, walkers = np.nonzero(np.diff(room, axis=0))
    assert len(steps) > 50
    for step, walker in zip(steps, walkers):
        (wall, low, high), = [wall for wall in map.walls
                              if (position[step, walker, 0] > wall[0]) !=
                              (position[step + 1, walker, 0] > wall[0])]
        assert low <= position[step, walker, 1] <= high


@every_map
def test_a_wall_stops_what_is_pushed_into_it(name):
    map = Map(name)
    for wall, low, high in map.walls:
        for side in -1, 1:
            y = np.linspace(0, SIZE, 31)
            start = np.stack([np.full(31, wall + side), y], axis=-1)
            end = map.move(map.move(start, [-side * STEP, 0]), [-side * STEP, 0])
            through = (y >= low) & (y <= high)
            np.testing.assert_allclose(end[~through, 0], wall + side * HALF)
            assert ((end[through, 0] - wall) * side < 0).all()


@every_map
def test_what_is_seen_is_the_agent_where_it_is_and_the_walls(name):
    map, rng = Map(name), np.random.default_rng(2)
    position = map.places(200, rng)
    for q in 0, 1:
        spot = map.see(position, rng, q).reshape(200, SIDE, SIDE) - map.drawn.reshape(SIDE, SIDE)
        brightest = np.abs(spot).reshape(200, -1).argmax(axis=1)
        assert np.abs(np.stack([brightest % SIDE, brightest // SIDE], axis=1) - position).max() <= 0.5
        assert np.mean(spot.sum(axis=(1, 2)) < 0) == pytest.approx(q / 2, abs=0.1)


def test_the_way_leads_through_the_doors():
    map = Map("middle")
    start, goal = np.array([[4.5, 7.5], [4.5, 3.5], [1, 1]]), np.array([[10.5, 7.5], [10.5, 3.5], [1, 6]])
    np.testing.assert_allclose(map.way(start, goal), [6, 10, 5])
    np.testing.assert_allclose(map.way(goal, start), [6, 10, 5])


@every_map
@pytest.mark.parametrize("other", [False, True])
def test_tasks_are_as_they_are_asked_for(name, other):
    map = Map(name)
    starts, goals = map.tasks(100, np.random.default_rng(3), other)
    assert len(starts) == len(goals) == 100 and not map.solid(np.stack([starts, goals])).any()
    assert np.linalg.norm(starts - goals, axis=1).min() >= 4
    assert ((map.room(starts) != map.room(goals)) == other).all()


# Acting

@every_map
def test_who_is_told_the_map_arrives_and_who_is_told_nothing_does_not(name):
    training = small(map=name)
    rng = np.random.default_rng(4)
    players = agents(training, None, {}, rng, {})
    starts, goals = training.world.map.tasks(20, rng)
    reached = {key: training.world.success(players[key], starts, goals, rng)
               for key in ("told the map and the way", "straight, told where it is", "random")}
    assert reached["told the map and the way"] >= 0.9 > reached["straight, told where it is"]
    assert reached["random"] <= 0.3


def test_a_path_ends_at_the_goal_or_after_the_steps_that_are_allowed():
    world = small().world
    start, goal, rng = np.array([1.0, 1.0]), np.array([1.0, 9.0]), np.random.default_rng(0)
    up = world.play(lambda *seen: np.array([[0, STEP]] * 4), start, goal, rng)
    assert len(up) == 6 and abs(up[-1, 1] - 9) < NEAR and world.arrived(up, goal)
    stays = world.play(lambda *seen: np.zeros((3, 2)), start, goal, rng)
    assert len(stays) == world.map.steps + 1 and not world.arrived(stays, goal)


def test_the_coarse_model_is_told_eight_actions_and_trained_by_the_same_loop():
    training = small()
    world = Coarse(training.world, training.model, hidden_dim=6)
    x, y, z = world.walks(7, np.random.default_rng(0))
    assert y.shape[1:] == x.shape and z.shape[2] == 2 * MACRO and len(y) == len(z)
    model, history = train(world, {"epochs": 2})
    again, _ = train(Coarse(training.world, training.model, hidden_dim=6), {"epochs": 2})
    assert np.array_equal(model.value, again.value) and history[-1]["loss"] < history[0]["loss"]
    before = training.model.value.copy()
    train(world, {"epochs": 1})
    assert np.array_equal(training.model.value, before)        # the first model stays as it is


# The command

def test_an_episode_and_a_table_are_printed_and_written(capsys):
    checkpoint.save("model.npz", *small(map="corner").finished)
    for name in "one.json", "two.json":
        plan.main(["--model", "model.npz", "--tasks", "2", "--samples", "10", "--json", name])
    printed = capsys.readouterr().out
    made = json.loads(Path("one.json").read_text())
    assert made["config"]["map"] == "corner" and [row["agent"] for row in made["rows"]][0] == "this model"
    assert "G" in printed and "0" in printed and all(row["agent"] in printed for row in made["rows"])
    again = json.loads(Path("two.json").read_text())
    assert made["path"] == again["path"]
    assert [(row["same"], row["other"]) for row in made["rows"]] == [
        (row["same"], row["other"]) for row in again["rows"]]


def test_quiet_prints_nothing(capsys):
    checkpoint.save("model.npz", *small().finished)
    plan.main(["--model", "model.npz", "--tasks", "0", "--quiet", "--start", "1,1", "--goal", "3,3"])
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("argv, message", [
    (["--goal", "7.5,2"], "--goal: wanted a place in the box of 15 x 15 that is in no wall"),
    (["--start", "16,2"], "--start: wanted a place in the box"),
    (["--start", "nan,2"], "--start: wanted a place x,y"),
    (["--goal", "2"], "--goal: wanted a place x,y"),
    (["--map", "maze"], "--map: wanted one of middle, corner, zigzag"),
    (["--horizon", "6"], "--hold: wanted a divisor of the horizon"),
    (["--model", "words.npz"], "words.npz is of the world words, not rooms"),
    (["--model", "missing.npz"], "missing.npz"),
])
def test_a_mistake_gets_one_line_before_anything_is_trained(argv, message, monkeypatch):
    checkpoint.save("words.npz", *Training.start("words", {}).finished)
    monkeypatch.setattr(Training, "rows", lambda *given: pytest.fail("not yet"))
    with pytest.raises(UserError) as caught:
        plan.main(argv)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_the_path_and_the_landscape_are_drawn():
    pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install 'minijepa[plot]'")
    checkpoint.save("model.npz", *small().finished)
    plan.main(["--model", "model.npz", "--tasks", "0", "--quiet", "--plot", "plan.svg"])
    assert b"<svg" in Path("plan.svg").read_bytes()


def test_gymnasium_accepts_the_environment():
    pytest.importorskip("gymnasium", reason="gymnasium is not installed: pip install 'minijepa[gym]'")
    from gymnasium.utils.env_checker import check_env

    from minijepa.worlds.gym import RoomsEnv

    for name in MAPS:
        check_env(RoomsEnv(name), skip_render_check=True)
    env = RoomsEnv("middle")
    seen, truth = env.reset(seed=1)
    for _ in range(env.map.steps):                     # straight to the goal, until a wall stops it
        seen, reward, arrived, late, truth = env.step(truth["goal"] - truth["position"])
        assert reward == arrived and seen["seen"].shape == (SIDE**2,)
        if arrived:
            break
    assert arrived != late
