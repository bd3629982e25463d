"""The rooms: a simulator beside a slow one, what is seen, who arrives, and the command."""

import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from minijepa import checkpoint, plan
from minijepa.cli import main as train_command
from minijepa.options import UserError, run
from minijepa.planning import squared
from minijepa.train import Training, train
from minijepa.worlds.agents import controls
from minijepa.worlds.coarse import MACRO, Coarse
from minijepa.worlds.maps import BESIDE, MAPS, NEAR, SIDE, STEP, Map

every_map = pytest.mark.parametrize("name", MAPS)
SMALL = {"epochs": 1, "hidden_dim": 6, "latent_dim": 4, "batch_size": 8}
DOORS = {"middle": [(7.5, 6, 9)], "corner": [(7.5, 0, 3)],
         "zigzag": [(3.75, 0, 3), (7.5, 12, 15), (11.25, 0, 3)]}


@pytest.fixture(autouse=True)
def few_and_in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in "rooms", "coarse":
        monkeypatch.setattr(f"minijepa.worlds.{name}.STEPS", 10)
        monkeypatch.setattr(f"minijepa.worlds.{name}.PROBED", 60)


def small(**given):
    training = Training.start("rooms", {**SMALL, **given})
    for _ in training.rows():
        pass
    return training


def kept(**given):
    checkpoint.save("model.npz", *small(**given).finished)
    return "model.npz"


# The simulator

def moved(walls, x, y, dx, dy):
    """One step of one agent: it stays in the stretch of free floor that it stands in, in x, in y.

    walls: (x, y of the door's edges); each is a pixel thick.
    """
    left, right = 0.0, 15.0
    for wall, low, high in walls:
        if y < low or y > high:
            if x < wall:
                right = min(right, wall - 0.5)
            else:
                left = max(left, wall + 0.5)
    x = sorted([left, x + dx, right])[1]
    bottom, top = 0.0, 15.0
    for wall, low, high in walls:
        if wall - 0.5 < x < wall + 0.5:                # in a doorway
            bottom, top = low, high
    return x, sorted([bottom, y + dy, top])[1]


@pytest.mark.slow
@every_map
def test_an_agent_moves_as_one_does_that_is_moved_by_hand(name):
    map, rng = Map(name), np.random.default_rng(0)
    position, action = map.walks(300, 30, rng)
    doorways = np.array([[wall, low + 0.1] for wall, low, _ in DOORS[name]] * 50)
    pushes = rng.uniform(-1.5, 1.5, (len(doorways), 2))
    for before, step, after in [
            *zip(position[:-1].reshape(-1, 2), action.reshape(-1, 2), position[1:].reshape(-1, 2)),
            *zip(doorways, pushes, map.move(doorways, pushes))]:
        np.testing.assert_allclose(after, moved(DOORS[name], *before, *step), rtol=0, atol=1e-12)


def test_a_wall_stops_a_step_and_what_is_left_of_it_slides():
    map = Map("middle")
    pushed = {(6.5, 2): (7, 2.9), (8.2, 12): (9.2, 12.9), (6.9, 7): (7.9, 7.9),
              (7.5, 8.5): (8.5, 9), (14.8, 14.5): (15, 15)}
    # beside the wall, away from it, into the doorway, then stopped by its side or the box
    for start, end in pushed.items():
        x, y = np.array(start), np.array([1, 0.9])
        if start == (7.5, 8.5):
            y = np.array([0.3, 0.9])
            end = 7.8, 9
        np.testing.assert_allclose(map.move(x, y), end)


@every_map
def test_nobody_is_in_a_wall_or_changes_rooms_but_through_a_door(name):
    map = Map(name)
    position, action = map.walks(500, 50, np.random.default_rng(1))
    x, y = np.moveaxis(position, -1, 0)
    assert position.min() >= 0 and position.max() <= 15
    rooms = np.zeros(x.shape, int)
    for wall, low, high in DOORS[name]:
        in_it = (x > wall - 0.5) & (x < wall + 0.5)
        assert in_it.any() and ((y[in_it] >= low) & (y[in_it] <= high)).all()
        rooms += x > wall
        crosses = (x[1:] > wall) != (x[:-1] > wall)
        assert crosses.sum() > 50 and ((y[:-1][crosses] >= low) & (y[:-1][crosses] <= high)).all()
    assert np.array_equal(map.room(position), rooms)
    assert (np.abs(np.diff(position, axis=0)) <= np.abs(action) + 1e-9).all()


@every_map
def test_a_place_is_solid_in_a_wall_and_outside(name):
    x, y = np.meshgrid(np.arange(-1, 16, 0.1), np.arange(-1, 16, 0.1))
    for place, solid in zip(np.stack([x, y], axis=-1).reshape(-1, 2),
                            Map(name).solid(np.stack([x, y], axis=-1)).ravel()):
        inside = 0 <= place[0] <= 15 and 0 <= place[1] <= 15
        in_a_wall = any(abs(place[0] - wall) < 0.5 and not low <= place[1] <= high
                        for wall, low, high in DOORS[name])
        assert solid == (not inside or in_a_wall)


@every_map
def test_walks_hold_their_action_and_half_of_them_begin_beside_a_wall(name):
    map = Map(name)
    position, action = map.walks(4000, 9, np.random.default_rng(2))
    size = np.linalg.norm(action, axis=-1)
    assert size.max() <= 1.5 and abs(size[0].mean() - 0.75) < 0.03             # 4 standard errors
    held = (action[1:] == action[:-1]).all(axis=-1).mean()
    assert abs(held - 0.7) < 4 * math.sqrt(0.21 / 32_000)
    angle = np.arctan2(*action[0].T)
    assert abs(np.mean(np.exp(1j * angle))) < 4 / math.sqrt(4000)              # in any direction

    def beside(places):
        return (np.abs(places[:, :1] - [wall for wall, _, _ in DOORS[name]])
                .min(axis=1) <= BESIDE + 1e-9).mean()

    anywhere = beside(map.places(20_000, np.random.default_rng(3)))
    assert abs(beside(position[0]) - (1 + anywhere) / 2) < 4 / math.sqrt(4000)
    assert beside(map.places(1000, np.random.default_rng(3), beside=1)) == 1


def test_the_way_leads_through_the_doors():
    map, zigzag = Map("middle"), Map("zigzag")
    start = np.array([[4.5, 7.5], [4.5, 3.5], [1, 1]])
    goal = np.array([[10.5, 7.5], [10.5, 3.5], [1, 6]])
    np.testing.assert_allclose(map.way(start, goal), [6, 10, 5])
    np.testing.assert_allclose(map.way(goal, start), [6, 10, 5])
    through = [(1, 9), (3.75, 1.5), (7.5, 13.5), (11.25, 1.5), (14, 2)]
    assert zigzag.way(np.array(through[0]), np.array(through[-1])) == pytest.approx(
        sum(math.dist(a, b) for a, b in zip(through, through[1:])))
    wall, edge = zigzag.nearest(np.array([[3, 5], [8, 10.5], [14, 2.5]]))
    np.testing.assert_array_equal(wall, [3.75, 7.5, 11.25])
    np.testing.assert_allclose(edge, [2, 1.5, 0.5])


@every_map
@pytest.mark.parametrize("other", [False, True])
def test_tasks_are_as_they_are_asked_for(name, other):
    map = Map(name)
    starts, goals = map.tasks(100, np.random.default_rng(3), other)
    assert len(starts) == len(goals) == 100 and not map.solid(np.stack([starts, goals])).any()
    assert np.linalg.norm(starts - goals, axis=1).min() >= 4
    assert ((map.room(starts) != map.room(goals)) == other).all()


# What is seen

@every_map
def test_each_pixel_shows_a_wall_and_how_near_the_agent_is(name):
    position = Map(name).places(20, np.random.default_rng(0))
    seen = Map(name).see(position, np.random.default_rng(0), 0, np.float64).reshape(20, 16, 16)
    for n, row, column in np.ndindex(seen.shape):
        x, y = position[n]
        wall = any(abs(column - wall) < 1 and not low <= row <= high
                   for wall, low, high in DOORS[name])
        wanted = wall / 2 + math.exp(-((column - x)**2 + (row - y)**2) / 2)
        assert seen[n, row, column] == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize("q", [0.25, 0.5, 1.0])
def test_glitter_is_one_sign_a_picture_by_chance_and_changes_nothing_else(q):
    map, place = Map("zigzag"), Map("zigzag").places(6000, np.random.default_rng(1))
    plain, glittering = (map.see(place, np.random.default_rng(2), each) - map.drawn
                         for each in (0, q))
    np.testing.assert_allclose(np.abs(glittering), plain, atol=1e-6)
    dark = glittering.sum(axis=1) < 0
    np.testing.assert_allclose(np.where(dark[:, None], -glittering, glittering), plain, atol=1e-6)
    assert abs(dark.mean() - q / 2) < 4 * math.sqrt(q / 2 * (1 - q / 2) / 6000)


def test_a_batch_is_the_pictures_along_its_walks():
    world = Training.start("rooms", {**SMALL, "q": 0.0, "map": "corner"}).world
    for x, y, z in world.batches(8, np.random.default_rng(5)):
        def brightest(picture):
            spot = (picture - world.map.drawn).reshape(*picture.shape[:-1], 16, 16)
            row, column = np.divmod(spot.reshape(*spot.shape[:-2], 256).argmax(axis=-1), 16)
            return np.stack([column, row], axis=-1)

        at = brightest(x)                              # half a pixel off at most, and so the end
        for picture, action in zip(y, z):
            end = brightest(picture)
            np.testing.assert_array_less(np.abs(end - at) - np.abs(action), 1.0 + 1e-6)
            at = end
        assert x.shape == (8, 256) and y.shape == (8, 8, 256) and z.shape == (8, 8, 2)


# What is measured: a model that knows the place, where pictures are places

class Knows:
    """Its latent of a picture is the place; it predicts with walls, or as if there were none."""

    def __init__(self, world, walls=True):
        world.see = lambda position, rng: position.astype(np.float64)
        world.prepare(np.random.default_rng(0))
        self.map, self.walls = world.map, walls

    def encode_context(self, x):
        return x, None

    encode_target = encode_context

    def predict(self, x, z):
        if self.walls:
            return self.map.follow(x, z)[1:], None
        return x + np.cumsum(z, axis=0), None

    predictor = property(lambda self: self)
    forward = predict


@every_map
def test_who_knows_the_place_and_the_walls_is_never_wrong_and_who_walks_through_them_is(name):
    world = Training.start("rooms", {**SMALL, "map": name, "dtype": "float64"}).world
    knows = Knows(world)
    assert max(world.probe(knows).values()) < 1e-4
    assert world.ghosts(knows)["pushed"] < 0.02        # of 60 walks a known place may be missing
    ghost = world.ghosts(Knows(world, walls=False))
    assert ghost["pushed"] > 0.7 and ghost["walking"] > 0.01
    lines = world.walls(knows, {"a ghost": Knows(world, walls=False)}).splitlines()
    assert [re.split(r"\s{2,}", line) for line in lines[4:]] == [
        [f"a ghost: {where}", f"{share:.2%}"] for where, share in ghost.items()]


def test_the_landscape_of_who_knows_the_place_points_at_the_goal():
    world = Training.start("rooms", {**SMALL, "dtype": "float64"}).world
    knows, errors = Knows(world), []
    knows.context_encoder = Training.start("rooms", SMALL).model.context_encoder
    for line in world.landscape(knows, {}).splitlines():
        low, high, error = map(float, re.findall(r"\d+", line))
        errors.append(error)
    assert len(errors) == 3 and errors[0] <= 8         # a wall may be in the way


def test_who_knows_the_place_arrives_and_a_pixel_predictor_plans_by_its_own_energy():
    training = Training.start("rooms", {**SMALL, "dtype": "float64"})
    world, rng = training.world, np.random.default_rng(1)
    pixels = world.build({**training.config, "predict": "pixels"}, rng, None)
    assert world.planner(pixels, rng).distance is squared
    knows = Knows(world)
    knows.context_encoder = training.model.context_encoder
    starts, goals = world.map.tasks(10, rng, other_room=False)
    assert world.success(world.planner(knows, rng), starts, goals, rng) == 1


def test_the_dial_shows_the_success_from_one_room_into_another(monkeypatch):
    monkeypatch.setattr("minijepa.worlds.rooms.TASKS", 4)
    world, played = small().world, []
    monkeypatch.setattr(world, "play", lambda agent, start, goal, rng: played.append(
        (start, goal)) or np.array([start, goal if len(played) == 1 else start]))
    assert world.dialled(small().model) == {"success": 0.25} and list(world.dial) == ["success"]
    assert len(played) == 4 and all(world.map.room(start) != world.map.room(goal)
                                    for start, goal in played)


# Acting

@pytest.mark.slow
@every_map
def test_who_is_told_the_map_arrives_and_who_is_told_nothing_does_not(name):
    training = small(map=name)
    rng = np.random.default_rng(4)
    players = controls(training, {})
    starts, goals = training.world.map.tasks(10, rng)
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


def test_without_a_goal_what_is_planned_does_not_depend_on_it():
    training, plans = small(), []
    for goal in ([1, 1], [14, 14]):
        agent = controls(training, {})["without a goal"]
        seen = training.world.see(np.array([[4.0, 4.0], goal]), np.random.default_rng(0))
        plans.append(agent(*seen))
    np.testing.assert_array_equal(*plans)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_coarse_model_is_told_eight_actions_and_trained_by_the_same_loop(dtype):
    training = small(dtype=dtype)
    world = Coarse(training.world, training.model, hidden_dim=6)
    x, y, z = world.walks(7, np.random.default_rng(0))
    assert y.shape[1:] == x.shape and z.shape == (len(y), 7, 2 * MACRO) and z.dtype == dtype
    before = training.model.value.copy()
    model, history = train(world, {"epochs": 2})
    again, _ = train(Coarse(training.world, training.model, hidden_dim=6), {"epochs": 2})
    assert np.array_equal(model.value, again.value) and history[-1]["loss"] < history[0]["loss"]
    assert np.array_equal(training.model.value, before)        # the first model stays as it is


def test_a_macro_action_is_the_actions_between_two_of_the_coarse_latents():
    training = small()
    world, rng = Coarse(training.world, training.model, ahead=3), np.random.default_rng(6)
    Knows(training.world)                              # now pictures are places,
    training.model.encode_context = lambda seen: (seen, None)                  # and so are latents
    x, y, z = world.walks(5, rng)
    for here, there, macro in zip([x, *y], y, z):
        for action in macro.reshape(5, MACRO, 2).swapaxes(0, 1):
            here = training.world.map.move(here, action)
        np.testing.assert_allclose(here, there, atol=1e-6)


# The command

@pytest.mark.slow
def test_an_episode_and_a_table_are_printed_and_written(capsys, monkeypatch):
    monkeypatch.setitem(Coarse.defaults, "epochs", 1)
    kept(map="corner")
    for name in "one.json", "two.json":
        plan.main(["--model", "model.npz", "--tasks", "1", "--samples", "10", "--scales", "2",
                   "--compare", "--json", name])
    printed = capsys.readouterr().out
    made, again = (json.loads(Path(name).read_text()) for name in ("one.json", "two.json"))
    rows = made["result"]["success"]
    assert made["config"]["map"] == "corner" and list(rows) == [
        "two scales", "this model", "pixel predictor", "untrained encoder",
        "greedy, one action ahead", "without a goal", "random", "straight, told where it is",
        "told the map and the way"]
    assert "G" in printed and "0" in printed and all(f"\n{name} " in printed for name in rows)
    path = np.array(made["path"])
    assert f"after {len(path) - 1} actions" in printed
    assert ("arrived" in printed) == (math.dist(path[-1], made["goal"]) < 1)
    assert made["path"] == again["path"]
    for name, row in rows.items():
        assert [row[key] for key in ("same", "other")] == [
            again["result"]["success"][name][key] for key in ("same", "other")]


def test_quiet_prints_nothing_and_start_and_goal_are_those_asked_for(capsys):
    plan.main(["--model", kept(), "--tasks", "0", "--quiet", "--start", "1,1", "--goal", "3.5,3",
               "--json", "run.json"])
    made = json.loads(Path("run.json").read_text())
    assert capsys.readouterr().out == "" and made["goal"] == [3.5, 3] and made["path"][0] == [1, 1]
    assert made["result"] == {"success": {}}


def test_a_model_is_trained_as_minijepa_train_does(capsys):
    plan.main(["--epochs", "1", "--q", "0.5", "--seed", "7", "--tasks", "0", "--json", "run.json"])
    made = json.loads(Path("run.json").read_text())
    assert made["config"] == Training.start("rooms", {"epochs": 1, "q": 0.5, "seed": 7}).config
    assert made["seconds"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("given", [{"predict": "pixels"}, {"dtype": "float64"},
                                   {"treatment": "ema"}, {"hidden_dim": 5, "latent_dim": 3}])
def test_any_model_of_the_rooms_can_plan_at_two_scales(given, capsys, monkeypatch):
    monkeypatch.setitem(Coarse.defaults, "epochs", 1)
    plan.main(["--model", kept(**given), "--tasks", "1", "--samples", "10", "--scales", "2",
               "--alone"])
    assert [line.split("  ")[0] for line in capsys.readouterr().out.splitlines()[-2:]] == [
        "two scales", "this model"]


@pytest.mark.parametrize("argv, message", [
    (["--goal", "7.5,2"], "--goal: wanted a place in the box of 15 x 15 that is in no wall"),
    (["--start", "16,2"], "--start: wanted a place in the box"),
    (["--start", "nan,2"], "--start: wanted a place x,y"),
    (["--goal", "2"], "--goal: wanted a place x,y"),
    (["--map", "maze"], "--map: wanted one of middle, corner, zigzag"),
    (["--horizon", "6"], "--hold: wanted a divisor of the horizon"),
    (["--horizon", "8", "--acts", "9"], "--acts: wanted at most the horizon"),
    (["--scales", "3"], "--scales: wanted a whole number from 1 to 2"),
    (["--tasks", "-1"], "--tasks: wanted"),
    (["--model", "words.npz"], "words.npz is of the world words, not rooms"),
    (["--model", "missing.npz"], "missing.npz"),
    (["--model", "words.npz", "--seed", "1"], "--seed contradicts --model"),
    (["--model", "words.npz", "--json", "words.npz"], "words.npz is named twice"),
    (["--json", "no/run.json"], "its folder does not exist"),
    (["--speed", "1"], "--speed"),
])
def test_a_mistake_gets_one_line_before_anything_is_trained(argv, message, monkeypatch, capsys):
    checkpoint.save("words.npz", *Training.start("words", {}).finished)
    monkeypatch.setattr(Training, "rows", lambda *given: pytest.fail("not yet"))
    with pytest.raises(SystemExit) as stopped:
        run(lambda: plan.main(argv))
    out, err = capsys.readouterr()
    assert stopped.value.code == 2 and out == ""
    assert err.startswith("error: ") and message in err and err.count("\n") == 1
    assert os.listdir() == ["words.npz"]


@pytest.mark.slow
def test_the_questions_have_flags(capsys):
    """How far ahead, why plan again; is the best action exact, are walls solid, has it a goal?"""
    path = kept()
    for flags in ["--horizon", "4"], ["--acts", "32"]:
        plan.main(["--model", path, "--tasks", "1", "--samples", "10", *flags])
        assert "without a goal" in capsys.readouterr().out
    plan.main(["--model", path, "--tasks", "1", "--samples", "10", "--alone"])
    assert capsys.readouterr().out.splitlines()[-1].startswith("this model ")
    train_command(["rooms", *(f"--{key.replace('_', '-')}={value}" for key, value in SMALL.items()),
                   "--landscape", "--walls"])
    out = capsys.readouterr().out
    assert "one action ahead, a goal 2 to 4 px away" in out and "pushed" in out


@pytest.mark.slow
@pytest.mark.parametrize("closed, code", [(">&-", 0), ("| head -n 1", 0), ("> /dev/full", 2)])
def test_an_output_that_is_closed_or_full_makes_no_traceback(closed, code):
    command = (f"{sys.executable} -m minijepa.plan --model {kept()} --tasks 1 --samples 10 --alone "
               f"{closed}")
    done = subprocess.run(command, shell=True, capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])})
    assert done.returncode == code and done.stderr.count("\n") == (code == 2)


@pytest.mark.slow
def test_the_path_and_the_landscape_are_drawn():
    pytest.importorskip("matplotlib",
                        reason="matplotlib is not installed: pip install 'minijepa[plot]'")
    for name in "one.svg", "two.svg":
        plan.main(["--model", kept(), "--tasks", "0", "--quiet", "--plot", name])
    assert b"<svg" in Path("one.svg").read_bytes()
    assert Path("one.svg").read_bytes() == Path("two.svg").read_bytes()


# Gymnasium

def test_without_gymnasium_the_environment_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    monkeypatch.delitem(sys.modules, "minijepa.worlds.gym", raising=False)
    with pytest.raises(UserError, match=r"needs gymnasium: pip install 'minijepa\[gym\]'"):
        import minijepa.worlds.gym  # noqa: F401


def test_gymnasium_accepts_the_environment():
    pytest.importorskip("gymnasium",
                        reason="gymnasium is not installed: pip install 'minijepa[gym]'")
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
