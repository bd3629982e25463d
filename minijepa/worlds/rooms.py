"""Rooms: an agent walks in a box with walls; a model that is told its actions learns to plan.

x is a picture of the agent, y the pictures after each of 8 actions, z the actions. The agent
glitters: in each picture, with probability q, it is bright or dark by chance, so that where it is
can be predicted and what it looks like cannot. V-JEPA 2-AC in miniature (Assran et al. 2025).
"""

import numpy as np

from minijepa.gauges import collapse_gauges, linear_probe, rmse
from minijepa.jepa import JEPA
from minijepa.layers import Sequential, perceptron
from minijepa.options import Option, choice, number, table, whole
from minijepa.planning import Planner, root, squared
from minijepa.predictors import Residual, Rollout, Told
from minijepa.worlds.base import COLLAPSE, World
from minijepa.worlds.maps import MAPS, NEAR, SIDE, SIZE, STEP, Map

STEPS = 50                                   # batches in an epoch: every one of new walks
AHEAD = 8                                    # actions that are told
PROBED, TASKS = 500, 30                      # walks that probes are fitted on; tasks of the dial


class Rooms(World):
    """The rooms. An epoch is 50 batches of walks that were never seen before."""

    name = "rooms"
    about, seconds = "an agent is told its actions: where do they lead, and what leads there?", 22
    options = {
        "map": Option("middle", choice(*MAPS), "where the walls and the doors are"),
        "q": Option(1.0, number(0, 1), "the dial: how often the sign of the agent is random"),
        "hidden_dim": Option(128, whole(1), "hidden units of the encoder and the predictor"),
        "latent_dim": Option(32, whole(1), "dimensions of the latents"),
        "predict": Option("latents", choice("latents", "pixels"), "pixels: a model of the same "
                          "size without an encoder, whose predictor gives the next picture"),
    }
    defaults = {"epochs": 70, "batch_size": 64, "learning_rate": 4e-3, "treatment": "joint",
                "regularizer": "vicreg", "covariance_weight": 0.1, "decay": 0.3}
    comparisons = {"pixel predictor": {"predict": "pixels", "treatment": "stopgrad",
                                       "regularizer": "none"}}
    columns = {**COLLAPSE, "seen_rmse": ("seen px", ".3f"), "told_rmse": ("8 actions on px", ".3f")}
    probed = "encoder; its latents, rolled out"
    handmade = {"raw input after abs()": np.abs}
    extras = {"walls": "does it know that walls are solid? how often it predicts to be behind one",
              "landscape": "how far the action of lowest energy is from the exact one"}
    dial = {"success": 1}
    ahead = AHEAD

    def prepare(self, rng):
        self.map = Map(self.config["map"])
        self.probed_walks, self.held_out = (self.walks(PROBED, rng) for _ in range(2))

    def walks(self, count, rng):
        """New walks: pictures (1 + K, N, 256), positions (1 + K, N, 2), actions (K, N, 2)."""
        position, action = self.map.walks(count, AHEAD, rng)
        return self.see(position, rng), position, action.astype(self.config["dtype"])

    def see(self, position, rng):
        return self.map.see(position, rng, self.config["q"], self.config["dtype"])

    def describe(self):
        return (f"the map {self.config['map']}, {SIDE} x {SIDE} pixels; a picture is seen, "
                f"{AHEAD} are predicted; {STEPS} batches of new walks an epoch")

    def build(self, config, rng, regularizer):
        hidden, latent, dtype = config["hidden_dim"], config["latent_dim"], config["dtype"]

        def net(inputs, outputs):
            return perceptron(inputs, hidden, outputs, rng, np.dtype(dtype))

        def new_encoder():
            return perceptron(SIDE**2, hidden, latent, rng, np.dtype(dtype), reads_data=True)

        if config["predict"] == "pixels":
            nothing = Sequential()                     # the "latent" of a picture is the picture
            frame = Sequential(*net(SIDE**2 + 2, latent).layers, *net(latent, SIDE**2).layers)
            return JEPA(nothing, nothing, Rollout(Told(frame, nothing)), "stopgrad")
        encoder = new_encoder()
        target = encoder if config["treatment"] == "joint" else new_encoder()
        step = Residual(Told(net(latent + 2, latent), Sequential()))
        return JEPA(encoder, target, Rollout(step), config["treatment"], config["tau"], regularizer)

    def batches(self, size, rng):
        position, action = self.map.walks(STEPS * size, AHEAD, rng)
        action = action.astype(self.config["dtype"])
        for start in range(0, STEPS * size, size):
            seen = self.see(position[:, start:start + size], rng)              # (1 + K, B, 256)
            yield seen[0], seen[1:], action[:, start:start + size]

    def measure(self, model):
        """The gauges over the rolled-out latents and their targets, and what `probe` reads."""
        targets = model.encode_target(self.held_out[0][1:])[0]
        return {**collapse_gauges(self.rolled(model, self.held_out), targets), **self.probe(model)}

    def rolled(self, model, walks):
        """The latents (K, N, L) that are predicted from the first picture and the actions."""
        return model.predict(walks[0][0], walks[2])[0]

    def probe(self, model):
        """Where the agent is, in pixels, by linear probes fitted on other walks.

        seen_rmse: of what is seen; told_rmse: of what is predicted after 8 actions.
        """
        fit, test = self.probed_walks, self.held_out
        at = {"seen_rmse": lambda walks: (model.encode_context(walks[0][0])[0], walks[1][0]),
              "told_rmse": lambda walks: (self.rolled(model, walks)[-1], walks[1][-1])}
        return {key: rmse(of(test)[1], linear_probe(*of(fit))(of(test)[0]))
                for key, of in at.items()}

    def probed_input(self):
        return self.probed_walks[0].reshape(-1, SIDE**2)

    def untrained(self, config):
        return super().untrained({**config, "predict": "latents"})

    def walls(self, model, others):
        """How often an agent that stays in its room is predicted in another one: a table."""
        rows = {f"{label}: {where}": {"behind": share}
                for label, each in {"this model": model, **others}.items()
                for where, share in self.ghosts(each).items()}
        return table("it is stopped by a wall", rows, {"behind": ("predicted behind it", ".2%")})

    def ghosts(self, model):
        """Pushed for 8 actions at the nearest wall, by its door's edge and not; and on walks.

        A predicted latent is where the nearest latent is, of those that were seen.
        """
        rng = np.random.default_rng(self.seed)
        wall, edge = self.map.nearest(start := self.map.places(PROBED, rng, beside=1))
        push = np.stack([np.sign(wall - start[:, 0]) * STEP, np.zeros(PROBED)], axis=-1)
        action = np.broadcast_to(push, (AHEAD, PROBED, 2)).astype(self.config["dtype"])
        pushed = self.see(start, rng)[None], self.map.follow(start, action), action
        known = self.probed_walks[1].reshape(-1, 2)                            # (M, 2)
        s = model.encode_target(self.probed_walks[0])[0].reshape(len(known), -1)

        def behind(walks, among=True):
            rolled = self.rolled(model, walks)                                 # (K, N, L)
            distance = (s**2).sum(axis=1) - 2 * rolled @ s.T                   # (K, N, M), − |ŝ|²
            room, truth = self.map.room(known[distance.argmin(axis=2)]), self.map.room(walks[1])
            stays = (truth == truth[0]).all(axis=0) & among
            return float((room != truth[0])[:, stays].mean())

        return {"pushed": behind(pushed, edge > 1), "by the door": behind(pushed, edge <= 1),
                "walking": behind(self.held_out)}

    def plot_walk(self, axes, model, others):
        """A held-out walk: where the agent is, and where rolled-out latents say that it is."""
        self.draw(axes, self.held_out[1][:, 0], label="truth")
        for label, each in {"JEPA: rolled-out latent": model, **others}.items():
            believed = [linear_probe(fit, place)(test[:1])[0] for fit, place, test in zip(
                self.rolled(each, self.probed_walks), self.probed_walks[1][1:],
                self.rolled(each, self.held_out))]
            axes.plot(*np.transpose(believed), label=label)
        axes.set(title=f"{AHEAD} actions of a walk, from its first picture")

    def draw(self, axes, path, goal=None, label="path"):
        """A path (n, 2) on the map."""
        axes.imshow(self.map.drawn.reshape(SIDE, SIDE), cmap="Greys", vmax=1, origin="lower")
        axes.plot(*np.transpose(path), "k-", marker="o", label=label)
        if goal is not None:
            axes.plot(*goal, "*", markersize=12, label="goal")
        axes.set(xlim=(-0.5, SIDE - 0.5), ylim=(-0.5, SIDE - 0.5), title="the way that it went")

    def landscape(self, model, others):
        """By how many degrees the action of lowest energy misses the goal, one action ahead."""
        rng, lines = np.random.default_rng(self.seed), []
        planner, (starts, goals) = self.planner(model, rng), self.map.tasks(200, rng, False, 2)
        away = np.linalg.norm(goals - starts, axis=1)
        best = np.array([planner.landscape(*self.encoded(model, pair, rng))[1]
                         for pair in zip(starts, goals)])                      # (N, 2)
        angle = np.angle((best @ [1, 1j]) / ((goals - starts) @ [1, 1j]), deg=True)
        for low, high in (2, 4), (4, 8), (8, SIZE):
            error = np.abs(angle[(away >= low) & (away < high)]).mean()
            lines.append(f"one action ahead, a goal {low} to {high:g} px away: {error:.0f}° off")
        return "\n".join(lines)

    def draw_landscape(self, axes, planner, rng):
        """The energy of all actions near a goal, its minimum, and the true best action."""
        start, exact = self.map.aside(np.array([SIZE / 4, SIZE / 2])), np.array([-0.9, 1.2])
        near = self.encoded(planner.model, (start, start + 2 * exact), rng)
        energy, lowest = planner.landscape(*near)
        axes.imshow(energy, extent=[-STEP, STEP, -STEP, STEP], origin="lower")
        for label, action, mark in ("lowest energy", lowest, "o"), ("exact action", exact, "*"):
            axes.plot(*action, f"w{mark}", mec="k", markersize=10, label=label, clip_on=False)
        axes.set(xlabel="dx", ylabel="dy", title="the energy of one action")

    def encoded(self, model, places, rng):
        """The latents of what is seen at a few places."""
        return [model.encode_context(self.see(place, rng))[0] for place in places]

    # --- acting ----------------------------------------------------------------------------------

    def play(self, agent, start, goal, rng):
        """The path (n, 2) of an agent: (what is seen, the goal seen, the truth) -> next actions."""
        path, goal_seen = [start], self.see(goal, rng)
        while True:
            for action in agent(self.see(path[-1], rng), goal_seen, (path[-1], goal)):
                if self.arrived(path, goal) or len(path) > self.map.steps:
                    return np.array(path)
                path.append(self.map.move(path[-1], action))

    def arrived(self, path, goal):
        return bool(np.linalg.norm(path[-1] - goal) < NEAR)

    def success(self, agent, starts, goals, rng):
        """The share of tasks whose goal an agent reaches."""
        return float(np.mean([self.arrived(self.play(agent, start, goal, rng), goal)
                              for start, goal in zip(starts, goals)]))

    def planner(self, model, rng, **settings):
        """Plans with a model of this world; a pixel predictor by its own energy."""
        distance = root if model.context_encoder.named_parameters() else squared
        return Planner(model, rng, STEP, **{"distance": distance, **settings})

    def dialled(self, model):
        """The success of planning, from one room into another."""
        rng = np.random.default_rng(self.seed)
        return {"success": self.success(self.planner(model, rng), *self.map.tasks(TASKS, rng), rng)}

    plots = plot_walk,
