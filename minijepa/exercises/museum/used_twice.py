import numpy as np

from minijepa.exercises.checks import B, E, L, Case, Gradients
from minijepa.exercises.doctor import describe, told_nothing
from minijepa.layers import perceptron

TITLE = "a layer used twice: gradients add up"
SOURCE = "minijepa.predictors:Rollout"
HINTS = """
Begin with K = 2 on paper: s → ŝ_1 → ŝ_2. The loss sees ŝ_2 directly, and ŝ_1 directly and through
ŝ_2.

Go from the last step to the first. What the backward of step k + 1 returns is a gradient toward
ŝ_k: it is added to dpredictions[k - 1] before step k is undone.

Start with ds = 0; for each step from the last: ds = backward_k(dprediction_k + ds), which makes a
new array. dpredictions[k] += … would write into the caller's.

After step 1 is undone, ds is the gradient toward ŝ_0, which is s_x: return ds, None.
"""
MISTAKES = r"""
### the chain is cut between the steps: ŝ_k also gets a gradient through ŝ_(k+1)
ds = undo(dprediction + ds) => ds = undo(dprediction)
### each step's gradient goes straight to s_x, not through the steps before it
ds = undo(dprediction + ds) => ds = ds + undo(dprediction)
### only the last step's dprediction is used
ds = undo(dprediction + ds) => ds = undo(ds if len(np.shape(ds)) else dprediction)
### only the first step's dprediction is used
return backwards[0](dpredictions[0]), None
### the gradient toward s_x is not returned
return ds, None if => return 0 * ds, None if
### what stands before the first step is returned: the first step is not undone
backwards[::-1], strict=True): => backwards[:0:-1]):
# or
ds = dpredictions[-1]
for k in reversed(range(1, self.steps)):
    ds = backwards[k](ds) + dpredictions[k - 1]
return ds, None
### dpredictions is read from the first step to the last, the backwards from the last to the first
zip(dpredictions[::-1], => zip(dpredictions,
### the backwards are called from the first step to the last: the last must come first
zip(dpredictions[::-1], backwards[::-1], => zip(dpredictions, backwards,
### the backward of one step is used for all of them: each forward has returned its own
ds = undo(dprediction + ds) => ds = backwards[0](dprediction + ds)
# or
ds = undo(dprediction + ds) => ds = backwards[-1](dprediction + ds)
### dpredictions is read from the last step to the first, the backwards from the first to the last
backwards[::-1], strict=True => backwards, strict=True
### dprediction is added after the step is undone, and belongs before it
ds = undo(dprediction + ds) => ds = dprediction + undo(dprediction + ds)
# or
ds = undo(dprediction + ds) => ds = dprediction + undo(ds if np.ndim(ds) else dprediction)
### dprediction is added twice: before the step is undone, and to what is there already
ds = undo(dprediction + ds) => ds = undo(2 * dprediction + ds)
### the net's own path is taken twice: ds is added once more to what the backward returns
ds = undo(dprediction + ds) => ds = ds + undo(dprediction + ds)
### the path through the next step is counted twice: dprediction + 2·ds
ds = undo(dprediction + ds) => ds = undo(dprediction + 2 * ds)
### the two paths are averaged, and should be added
ds = undo(dprediction + ds) => ds = undo((dprediction + ds) / 2 if np.ndim(ds) else dprediction)
### it is divided by the number of steps: the mean over the steps lives in the loss
return ds, None if => return ds / len(dpredictions), None if
### dprediction is subtracted
ds = undo(dprediction + ds) => ds = undo(dprediction - ds)
### the dpredictions of all steps are summed first, and then sent through all steps
total = dpredictions.sum(axis=0)
for undo in reversed(backwards):
    total = undo(total)
return total, None
### the dpredictions of all steps are summed first, and then sent through one step
return backwards[-1](dpredictions.sum(axis=0)), None
# or
return backwards[0](dpredictions.sum(axis=0)), None
### each step's backward is called several times: the net gets its gradient too often
total = 0
for k, ds in enumerate(dpredictions):
    for undo in reversed(backwards[:k + 1]):
        ds = undo(ds)
    total = total + (k + 1) * ds
return total, None
"""


def returned(steps, s_x):
    def look(module):
        found = module.Rollout(perceptron(E, L, E, np.random.default_rng(0), np.float64),
                               steps).forward(s_x)[1](np.ones((steps, B, E)))
        return {"what backward returns": "ds_x and None" if told_nothing(found) else
                describe(found)}
    return Case(f"Rollout with steps = {steps}", look, group="what backward returns")


def cases():
    s_x = np.random.default_rng(0).standard_normal((B, E))
    for steps in 2, 1, 3:
        yield returned(steps, s_x)
        yield Gradients(f"Rollout with steps = {steps}", lambda module, steps=steps: module.Rollout(
            perceptron(E, L, E, np.random.default_rng(0), np.float64), steps), s_x, group="",
            twice=False, sizes={"batch size": B, "number of steps": steps, "feature size": E,
                                "hidden size": L})
