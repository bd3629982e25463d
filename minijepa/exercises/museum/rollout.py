import numpy as np

from minijepa.exercises.checks import B, E, L, T, Gradients
from minijepa.layers import Sequential, perceptron
from minijepa.predictors import Told

TITLE = "a rollout with actions: two gradients a step"
SOURCE = "minijepa.predictors:Rollout"
HINTS = """
Undo the last step first: ds, dz_k = backward_k(dprediction_k + ds), with ds = 0 at first.

The dz_k come from the last to the first; dz[k] belongs to z[k]. Collect them and turn them round:
np.stack(dz[::-1]).
"""
MISTAKES = r"""
### the dz_k stand from the last step to the first: they should be turned round
np.stack(dz[::-1]) => np.stack(dz)
### the chain is cut between the steps: ŝ_k also gets a gradient through ŝ_(k+1)
undo(dprediction + ds) => undo(dprediction)
### only the last step's dprediction is used
undo(dprediction + ds) => undo(ds if np.ndim(ds) else dprediction)
### dprediction is subtracted
undo(dprediction + ds) => undo(ds - dprediction)
### dz is summed over the steps: each z_k has its own
np.stack(dz[::-1]) => sum(dz)
# or
np.stack(dz[::-1]) => np.stack([sum(dz)] * len(dz))
### only one step's dz is kept, and stands for all
np.stack(dz[::-1]) => np.stack([dz[0]] * len(dz))
# or
np.stack(dz[::-1]) => np.stack([dz[-1]] * len(dz))
### only one step's dz is returned
np.stack(dz[::-1]) => dz[-1]
# or
np.stack(dz[::-1]) => dz[0]
### dz is not returned: None stands for it, but z is made of numbers here
np.stack(dz[::-1]) => None
### dz is a list: np.stack makes an array of it
np.stack(dz[::-1]) => dz[::-1]
### the steps lie along another axis than the first
np.stack(dz[::-1]) => np.stack(dz[::-1], axis=1)
### the dz_k are joined along the batch: np.stack gives the steps an axis of their own
np.stack(dz[::-1]) => np.concatenate(dz[::-1])
### dz_k is summed up from step to step: z_k has one path to ŝ_k alone
dz.append(dz_k) => dz.append(dz_k + dz[-1] if dz else dz_k)
### the backwards are called from the first step to the last: the last must come first
zip(dpredictions[::-1], backwards[::-1], => zip(dpredictions, backwards,
### dpredictions is read from the first step to the last, the backwards from the last to the first
zip(dpredictions[::-1], => zip(dpredictions,
### what stands before the first step is returned: ds of the second step, or dpredictions[0]
backwards[::-1], strict=True): => backwards[:0:-1]):
### the gradient toward s_x is not returned
return ds, None => return 0 * ds, None
### dz_k is given on to the step before, and not ds
ds, dz_k = ds => dz_k, ds = ds
"""


def cases():
    def build(module):
        rng = np.random.default_rng(0)
        return module.Rollout(Told(perceptron(E + T, L, E, rng, np.float64), Sequential()))

    rng = np.random.default_rng(0)
    for steps in 2, 1, 3:
        yield Gradients(f"Rollout of {steps} actions", build, rng.standard_normal((B, E)),
                        rng.standard_normal((steps, B, T)), group="", twice=False)
