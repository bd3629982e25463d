"""The simulator behind the rooms: walls that stop an agent, and what is seen of it.

A box of 15 × 15, seen as 16 × 16 pixels. A position is (x, y), an action a step (dx, dy).
"""

import numpy as np

SIZE, SIDE = 15.0, 16                        # of the box; pixels of a side
STEP, NEAR = 1.5, 1.0                        # the longest step; a goal that near is reached
HALF = 0.5                                   # half of a wall's thickness
HOLDS, BESIDE = 0.7, 2.0                     # of walks: how often an action is held; near a wall

# The walls, from left to right: where each stands, and the door in it, from y to y
MAPS = {"middle": [(7.5, 6, 9)],
        "corner": [(7.5, 0, 3)],
        "zigzag": [(3.75, 0, 3), (7.5, 12, 15), (11.25, 0, 3)]}


class Map:
    """Rooms side by side. All methods work on arrays of any leading shape, (..., 2)."""

    def __init__(self, name):
        self.walls = MAPS[name]
        self.steps = 40 if len(self.walls) == 1 else 80                        # that a task allows
        column, row = np.arange(SIDE), np.arange(SIDE)[:, None]
        self.drawn = sum((abs(column - wall) < 1) & ((row < low) | (row > high))
                         for wall, low, high in self.walls).ravel() / 2        # (256,)

    def move(self, position, action):
        """One step, first in x, then in y; a wall stops it, and what is left slides along it."""
        x, y = np.moveaxis(position, -1, 0)
        to_x, to_y = np.moveaxis(np.clip(position + action, 0, SIZE), -1, 0)
        for wall, low, high in self.walls:
            stopped = np.where(x < wall, np.minimum(to_x, wall - HALF),
                               np.maximum(to_x, wall + HALF))
            to_x = np.where((y < low) | (y > high), stopped, to_x)
        for wall, low, high in self.walls:
            to_y = np.where(abs(to_x - wall) < HALF, np.clip(to_y, low, high), to_y)
        return np.stack([to_x, to_y], axis=-1)

    def follow(self, start, actions):
        """Where T actions (T, N, 2) lead from a start (N, 2): (1 + T, N, 2)."""
        position = [start]
        for action in actions:
            position.append(self.move(position[-1], action))
        return np.stack(position)

    def room(self, position):
        """Its number, from the left."""
        return sum(position[..., 0] > wall for wall, _, _ in self.walls)

    def solid(self, position):
        """Is it in a wall, or outside of the box?"""
        x, y = np.moveaxis(position, -1, 0)
        walls = sum((abs(x - wall) < HALF) & ((y < low) | (y > high))
                    for wall, low, high in self.walls)
        return (walls > 0) | (np.clip(position, 0, SIZE) != position).any(axis=-1)

    def nearest(self, position):
        """Of the wall nearest to it: where that stands, and how far off in y its door's edge is."""
        x, y = np.moveaxis(position, -1, 0)
        walls = np.array(self.walls)
        wall, low, high = walls[abs(x[..., None] - walls[:, 0]).argmin(axis=-1)].T
        return wall, np.minimum(abs(y - low), abs(y - high))

    def way(self, position, goal):
        """The length of the way around the walls, through the middles of the doors: (..., 2) × 2
        ->  (...)."""
        swap = (position[..., 0] > goal[..., 0])[..., None]
        here, end = np.where(swap, goal, position), np.where(swap, position, goal)
        left, length = here[..., 0], 0
        for wall, low, high in self.walls:
            between = (left < wall) & (end[..., 0] > wall)
            door = np.array([wall, (low + high) / 2])
            length = length + between * np.linalg.norm(door - here, axis=-1)
            here = np.where(between[..., None], door, here)
        return length + np.linalg.norm(end - here, axis=-1)

    def places(self, count, rng, beside=0.0):
        """Places (count, 2) outside of the walls; a share of them beside one."""
        place = rng.uniform(0, SIZE, (count, 2))
        wall = rng.choice([wall for wall, _, _ in self.walls], count)
        near = wall + rng.choice([-1, 1], count) * rng.uniform(HALF, BESIDE, count)
        place[:, 0] = np.where(rng.random(count) < beside, near, place[:, 0])
        return np.where(self.solid(place)[:, None], self.aside(place), place)

    def aside(self, place):
        """To the left of any wall that it is in."""
        x, y = np.moveaxis(place, -1, 0)
        for wall, _, _ in self.walls:
            x = np.where(abs(x - wall) < HALF, wall - HALF, x)
        return np.stack([x, y], axis=-1)

    def walks(self, count, length, rng):
        """Random walks that hold their action: positions (1 + T, N, 2), actions (T, N, 2).

        Half of them start beside a wall: a model that rarely sees one learns to walk through it.
        """
        start, action, actions = self.places(count, rng, beside=0.5), np.zeros((count, 2)), []
        for step in range(length):
            angle, size = rng.uniform(0, 2 * np.pi, count), rng.uniform(0, STEP, count)
            new = size[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
            holds = (rng.random(count) < HOLDS) & (step > 0)
            action = np.where(holds[:, None], action, new)
            actions.append(action)
        return self.follow(start, actions), np.stack(actions)

    def see(self, position, rng, q, dtype=np.float32):
        """Pictures (..., 256): the walls, and the agent, its sign random with probability q."""
        shape = position.shape[:-1]
        random = (rng.random(shape) < q) & (rng.random(shape) < 0.5)
        away = position[..., None].astype(dtype) - np.arange(SIDE, dtype=dtype)  # (..., 2, 16)
        spot = np.exp(-away * away / 2)
        x, y = spot[..., 0, :], spot[..., 1, :] * np.where(random, -1, 1)[..., None].astype(dtype)
        picture = (y[..., None] * x[..., None, :]).reshape(*shape, -1)         # (..., 256)
        picture += self.drawn.astype(dtype)
        return picture

    def tasks(self, count, rng, other_room=True, apart=4):
        """Starts and goals, two (count, 2), at least so far apart, in one room or in two."""
        starts, goals = self.places(100 * count, rng), self.places(100 * count, rng)
        fits = np.linalg.norm(starts - goals, axis=1) >= apart
        fits &= (self.room(starts) != self.room(goals)) == other_room
        return starts[fits][:count], goals[fits][:count]
