"""Plan in the rooms with a model: an episode, and the success over many tasks beside controls.

Questions, a run each: how far ahead? --horizon 4; why plan again? --acts 32; without a goal? a row
of the table; is the best action the exact one, are walls solid? train rooms --landscape --walls.
"""

from time import perf_counter

import numpy as np

from minijepa.cli import (Screen, add_outputs, check_outputs, compared, figures_for,
                          write_json)
from minijepa.options import Option, Parser, UserError, heading, line, number, resolve, run, whole
from minijepa.train import Training, train
from minijepa.worlds.agents import controls, planners
from minijepa.worlds.coarse import Coarse
from minijepa.worlds.maps import SIDE, SIZE
from minijepa.worlds.rooms import Rooms


def place(text):
    """Reads x,y."""
    try:
        x, y = (number(-1e9)(each) for each in text.split(","))
    except ValueError:
        raise ValueError("a place x,y") from None
    return np.array([x, y])


TRAINED = {name: Rooms.all_options()[name] for name in ("map", "q", "seed", "epochs")}
OPTIONS = {**TRAINED,
           "start": Option(None, place, "where the episode starts, x,y (default: drawn)"),
           "goal": Option(None, place, "where it should end, x,y (default: drawn, another room)"),
           "tasks": Option(100, whole(0), "how many tasks success is measured on, a row"),
           "scales": Option(1, whole(1, 2), "2: plan coarse, 8 actions at once, and fine, too"),
           "horizon": Option(32, whole(1), "actions in a plan of one scale: how far ahead"),
           "hold": Option(4, whole(1), "how long each is held; divides the horizon"),
           "acts": Option(4, whole(1), "actions that are taken before it plans again"),
           "samples": Option(200, whole(2), "plans that are drawn, in each of 5 rounds")}
SETTINGS = "horizon", "hold", "acts", "samples"         # what every planner is given
COLUMNS = {"agent": ("success of", "<28"), "same": ("same room", ".2f"),
           "other": ("other room", ".2f"), "ms": ("ms a plan", ".1f")}


def measure(world, agent, tasks):
    """A row of the table: the success in the same room and from room to room, and the clock."""
    row, clock = {}, []

    def timed(*seen):
        started = perf_counter()
        actions = agent(*seen)
        clock.append(perf_counter() - started)
        return actions

    for key, other in ("same", False), ("other", True):
        rng = np.random.default_rng(world.seed)
        row[key] = world.success(timed, *world.map.tasks(tasks, rng, other), rng)
    return {**row, "ms": 1e3 * float(np.median(clock))}


def success(world, players, tasks, screen):
    """The table, printed row by row: {name: its numbers}."""
    screen.say(heading(COLUMNS))
    rows = {}
    for name, agent in players.items():
        rows[name] = measure(world, agent, tasks)
        screen.say(line({"agent": name, **rows[name]}, COLUMNS))
    return rows


def shown(world, path, goal):
    """The map and the path: 0 is the start, a digit stands for each action, G is the goal."""
    picture = np.where(world.map.drawn.reshape(SIDE, SIDE) > 0, "▒", "·")
    for step, (x, y) in [*enumerate(np.rint(path).astype(int))][::-1]:
        picture[y, x] = str(step % 10)
    x, y = np.rint(goal).astype(int)
    picture[y, x] = "G"
    end = "arrived" if world.arrived(path, goal) else "not there"
    return "\n".join([*map(" ".join, picture[::-1]), f"{end} after {len(path) - 1} actions"])


def check(given, options, map):
    """Raise UserError where what is asked for contradicts itself, or cannot be in the rooms."""
    if options["horizon"] % options["hold"]:
        raise UserError("--hold: wanted a divisor of the horizon, "
                        f"was given {options['hold']} for {options['horizon']}")
    if options["acts"] > options["horizon"]:
        raise UserError(f"--acts: wanted at most the horizon, {options['horizon']}, "
                        f"was given {options['acts']}")
    for key in "start", "goal":
        if options[key] is not None and map.solid(options[key]):
            raise UserError(f"--{key}: wanted a place in the box of {SIZE:g} x {SIZE:g} that is "
                            f"in no wall of the map, was given {given[key]}")


def prepare(given, path, options, screen):
    """The trained model, and the coarse one; a mistake is told before the training."""
    trained = {key: given[key] for key in TRAINED if key in given}
    if path is not None and trained:
        raise UserError(f"--{next(iter(trained))} contradicts --model: leave it out")
    training = Training.start(Rooms, trained) if path is None else Training.load(path, Rooms)
    check(given, options, training.world.map)
    if path is None:
        for _ in training.rows(screen.progress):
            pass
    coarse = Coarse(training.world, training.model)
    return training, train(coarse)[0] if options["scales"] == 2 else None


def main(argv=None):
    parser = Parser("minijepa.plan", __doc__)
    parser.add_options(OPTIONS)
    parser.add_argument("--model", metavar="FILE", help="a model that `train rooms --save` wrote; "
                        f"without one, one is trained first, about {Rooms.seconds} s")
    parser.add_argument("--compare", action="store_true", help="plan with a pixel predictor, too")
    parser.add_argument("--alone", action="store_true",
                        help="leave out what the models are held against")
    parser.add_argument("--quiet", action="store_true", help="print nothing")
    add_outputs(parser, "the path; the energy of all actions near a goal, or the flat path")
    given = vars(parser.parse_args(argv))
    asked = {key: given.pop(key) for key in ("model", "json", "plot", "quiet", "compare", "alone")}
    options = resolve(OPTIONS, given)
    check_outputs([asked["json"], asked["plot"]], [asked["model"]])
    figures, screen, started = figures_for(asked["plot"]), Screen(asked["quiet"]), perf_counter()
    training, coarse = prepare(given, asked["model"], options, screen)
    seconds = perf_counter() - started
    world, rng = training.world, np.random.default_rng(training.config["seed"])
    others = {label: compared(Rooms, training.config, changes, screen)
              for label, changes in Rooms.comparisons.items() if asked["compare"]}
    settings = {key: options[key] for key in SETTINGS}
    players = planners(training, coarse, others, settings)
    if not asked["alone"]:
        players |= controls(training, settings)
    start, goal = (drawn if options[key] is None else options[key] for key, (drawn,) in
                   zip(("start", "goal"), world.map.tasks(1, rng)))
    path = world.play(next(iter(players.values())), start, goal, rng)
    screen.say(shown(world, path, goal))
    rows = success(world, players, options["tasks"], screen) if options["tasks"] else {}
    write_json(asked["json"], {"config": training.config, "path": path.tolist(),
                               "goal": goal.tolist(), "result": {"success": rows},
                               "seconds": seconds})
    if figures:
        flat = world.play(players["this model"], start, goal, rng) if coarse else None
        figures.plot_panels(
            [lambda axes: world.draw(axes, path, goal, "two scales" if coarse else "path"),
             lambda axes: world.draw(axes, flat, goal, "one scale") if coarse else
             world.draw_landscape(axes, players["this model"], rng)], asked["plot"])


if __name__ == "__main__":
    run(main)
