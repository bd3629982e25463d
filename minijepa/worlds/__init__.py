"""The worlds: what is observed and what is hidden. A new world is one file and one line here.

What every world offers, and all that the training loop knows of it:

    name, options             its name; its own options {name: Option}
    defaults                  its own defaults for the training loop's options
    columns                   what measure() returns, in order: {key: (heading, format)}
    World(rng, **config)      the data, held-out part set aside
    comparisons               {label: options} of models to hold it against (`--compare`)
    extras                    {flag: help}: further methods of a model that return a text to print
    build(config, rng, regularizer)   an untrained model
    batches(size, rng)        one epoch of (x, y), as model.forward takes them
    measure(model)            {key: number}, on held-out data; draws nothing at random
    describe()                what is trained on, in a line
    report(model, config, others)     what the model has learned: a text, and numbers for --json
    state(), restore(state)   what a checkpoint keeps of it: {name: array}
"""

from minijepa.worlds.video import Video
from minijepa.worlds.words import Words

WORLDS = {world.name: world for world in (Words, Video)}
