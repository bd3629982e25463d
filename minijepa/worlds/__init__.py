"""The worlds by name. A new one is one file and one line here; or a file of your own."""

import importlib.util
import inspect
import os

from minijepa.options import UserError
from minijepa.worlds.base import World, check_members
from minijepa.worlds.futures import Futures
from minijepa.worlds.images import Images
from minijepa.worlds.questions import Questions
from minijepa.worlds.rooms import Rooms
from minijepa.worlds.video import Video
from minijepa.worlds.words import Words

WORLDS = {world.name: world for world in (Words, Video, Images, Rooms, Futures, Questions)}


def world_class(world):
    """The class of a world: of its name, of a file my_world.py that defines it, or itself.

    Raises UserError.
    """
    if isinstance(world, type):
        check_members(world)
        return world
    if world.endswith(".py"):
        return read_world(world)
    if world not in WORLDS:
        raise UserError(f"there is no world {world!r}: wanted {', '.join(WORLDS)}, "
                        "or a file my_world.py that defines one")
    return WORLDS[world]


def read_world(path):
    """The one World that a file defines."""
    if not os.path.isfile(path):
        raise UserError(f"there is no file {path}")
    spec = importlib.util.spec_from_file_location(os.path.splitext(os.path.basename(path))[0], path)
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise UserError(f"{path}, line {error.lineno}: {error.msg}") from None
    found = [part for part in vars(module).values()
             if inspect.isclass(part) and issubclass(part, World) and part.__module__ == spec.name]
    if len(found) != 1:
        names = ", ".join(part.__name__ for part in found) or "none"
        raise UserError(f"{path}: wanted one class that is a minijepa.worlds.base.World, "
                        f"found {names}")
    check_members(found[0])
    if found[0].name in WORLDS:
        raise UserError(f"{path}: the name {found[0].name!r} is taken; choose another")
    return found[0]
