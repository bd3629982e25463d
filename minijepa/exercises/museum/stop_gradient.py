import copy

import numpy as np

from minijepa import jepa
from minijepa.exercises.checks import B, K, T, V, Case, Fail, Gradients
from minijepa.jepa import TREATMENTS

TITLE = "the stop-gradient and the EMA target"
SOURCE = "minijepa.jepa:JEPA.forward minijepa.jepa:JEPA.update_target"
HINTS = """
mse_backward(dloss) returns two gradients, in the order of mse's inputs. One goes to
predict_backward; the other may go to target_backward.

To stop a gradient is to leave out a call. In which one of the three treatments is target_backward
called?

update_target does something in 'ema' alone. target is a view of the vector that the layers read:
`target = …` would only give a name to a new array, `target[:] = …` writes into the one that is
there.

target[:] = tau * target + (1 - tau) * online, with target = self.target_encoder.value, online =
self.context_encoder.value and tau = self.tau.
"""
MISTAKES = r"""
### the gradient is not stopped: it flows into the target branch
ds_y = 0 => target_backward(ds_y)
### the gradient is not stopped in 'ema': it flows into the target branch
ds_y = 0 => target_backward(ds_y) if self.treatment == "ema" else None
### the gradient is not stopped in 'stopgrad': it flows into the target branch
ds_y = 0 => target_backward(ds_y) if self.treatment == "stopgrad" else None
### no gradient comes to the target branch: in 'joint' it should flow into both
self.treatment != "joint" => True
### the treatments are mixed up: the gradient is stopped in 'joint' and flows in the others
ds_y = 0 => target_backward(ds_y)
target_backward(ds_y + penalty_y_backward(dloss)) => pass
### the gradient is not stopped, and then the target encoder's is wiped: the embedding, which both
### branches share, has had its part already. Leave out the call of target_backward
ds_y = 0 => target_backward(ds_y); self.target_encoder.grad[:] = 0
### the gradient flows into the target branch alone; predictor and context encoder get none
ds_x, _ = predictor_backward(dpredictions) => target_backward(ds_y); return
### the gradient flows into the target branch alone in 'ema' and 'stopgrad': the wrong one is
### stopped
ds_x, _ = predictor_backward(dpredictions)
=> if self.treatment != "joint": return target_backward(ds_y)\nds_x, _ = predictor_backward(\
dpredictions)
### predictor and context encoder get no gradient: only 'joint' sends any, into the target branch
ds_x, _ = predictor_backward(dpredictions) => ds_x = 0
encoder_backward(ds_x + penalty_x_backward(dloss)) => pass
### the two gradients of mse are exchanged: the first is that of the predictions
dpredictions, ds_y = distance_backward(dloss) => ds_y, dpredictions = distance_backward(dloss)
### the predictions get the opposite sign
predictor_backward(dpredictions) => predictor_backward(-dpredictions)
### the targets get the opposite sign in 'joint': mse_backward gives it with its sign already
target_backward(ds_y + => target_backward(-ds_y +
### the targets get the predictions' gradient in 'joint', with the wrong sign
target_backward(ds_y + => target_backward(dpredictions +
### nothing flows back at all
ds_x, _ = predictor_backward(dpredictions) => return
### dloss is left out
distance_backward(dloss) => distance_backward(1)
### dloss is multiplied in twice: mse_backward has done so
distance_backward(dloss) => distance_backward(dloss * dloss)
### predict_backward is called twice: all its gradients are there two times
encoder_backward(ds_x + penalty_x_backward(dloss))
=> encoder_backward(ds_x + penalty_x_backward(dloss)); encoder_backward(predictor_backward(\
dpredictions)[0])
### target_backward is called twice in 'joint'
ds_y + penalty_y_backward(dloss)) => ds_y); target_backward(ds_y)
### τ and 1 − τ are exchanged
target *= tau => target *= 1 - tau
(1 - tau) * online => tau * online
### the target is copied from the context encoder: target = online
target *= tau => target[:] = online; return
### the share of the context encoder is missing: target = τ·target
target += (1 - tau) * online => pass
### target is added in full: target + (1 − τ)·online
target *= tau => pass
### the share of online is 1: τ·target + online
(1 - tau) * online => online
### the share of online is τ too: τ·target + τ·online
(1 - tau) * online => tau * online
### self.tau is ignored, and 0.99 stands in its place
self.context_encoder.value, self.tau => self.context_encoder.value, 0.99
### self.tau is ignored, and 0.9 stands in its place
self.context_encoder.value, self.tau => self.context_encoder.value, 0.9
### the mean of the two is taken
target *= tau => tau = 0.5; target *= tau
### the target moves away: target − (1 − τ)·(online − target)
target *= tau => target *= 2 - tau
target += (1 => target -= (1
### target is multiplied by τ first, and then stands in online − target as it is no more
(1 - tau) * online => (1 - tau) * (online - target)
### the sign is wrong: τ·target − (1 − τ)·online
target += (1 => target -= (1
### update_target does nothing
target *= tau => return
### target = … gives the name to a new array, and the target stays: the layers look into the vector
### that was there. Change it in place: target[:] = …
target *= tau => target = tau * target
# or
target *= tau => self.target_encoder.value = tau * target + (1 - tau) * online; return
### the gradients are averaged, and not the values
self.target_encoder.value, self.context_encoder.value
=> self.target_encoder.grad, self.context_encoder.grad
### the target is updated in 'stopgrad' and 'joint' too, and should not be: only 'ema' averages
if self.treatment == "ema": => if True:
### the target is updated in 'stopgrad' too, and should not be: only 'ema' averages
if self.treatment == "ema": => if self.treatment != "joint":
### the target is updated in 'stopgrad', and not in 'ema'
if self.treatment == "ema": => if self.treatment == "stopgrad":
### the target is updated in 'joint', and not in 'ema'
if self.treatment == "ema": => if self.treatment == "joint":
### the target is updated in the other two treatments, and not in 'ema'
if self.treatment == "ema": => if self.treatment != "ema":
### the context encoder follows the target encoder: the two are exchanged
= self.target_encoder.value, self.context_encoder.value
=> = self.context_encoder.value, self.target_encoder.value
### the whole model is averaged: only the target encoder follows
target *= tau => self.value *= tau; return
"""


def batch(rng):
    """x and y of a small word world: sentences of 1 to 3 words, repeated words, K = 2 targets."""
    mask = np.arange(T) < np.array([3, 1, 2, 3, 2])[:, None]                   # (B, T)
    return (rng.integers(0, V, (B, T)), mask), rng.integers(0, V, (K, B))


def small(model, treatment, tau=0.9):
    """A small ToyJEPA of this class in float64; its target encoder is not a copy of the other."""
    rng = np.random.default_rng(0)
    model = model(V, rng, 3, 5, 2, np.float64, treatment, tau)
    model.predictor.steps = K
    model.target_encoder.value += 0.3 * rng.standard_normal(model.target_encoder.value.shape)
    return model


def held_forward(y):
    """Where the gradient is stopped the targets are held fixed, which differences would move."""
    def forward(model):
        held = copy.copy(model)                        # the same parameters, another encode_target
        if model.treatment != "joint":
            encoded = model.encode_target(y)
            held.encode_target = lambda y: encoded
        return held.forward
    return forward


def whole_step(build, treatment):
    """All gradients of a step: build(module) is a class as ToyJEPA."""
    x, y = batch(np.random.default_rng(1))
    return Gradients(f"the step, treatment {treatment!r}",
                     lambda module: small(build(module), treatment), x, y, group="",
                     numeric=held_forward(y),
                     sizes={"batch size": B, "number of steps": K, "number of tokens": T})


def toy(module):
    """The article's encoders; forward and update_target are the learner's."""
    own = module.JEPA
    if not issubclass(own, jepa.JEPA) or not {"forward", "update_target"} <= set(vars(own)):
        raise Fail("JEPA must stay a minijepa.jepa.JEPA, with its own forward and update_target")
    return type("Model", (jepa.ToyJEPA, own), {})


def update(treatment, tau):
    """The target encoder after some updates, while the context encoder moves on."""
    def look(module):
        rng, model, seen = np.random.default_rng(1), small(toy(module), treatment, tau), {}
        target, context = model.target_encoder.value, model.context_encoder.value
        for number in 1, 2, 3:
            context[:] = rng.standard_normal(context.shape)
            model.grad[:] = rng.standard_normal(model.grad.shape)
            online, grad = context.copy(), model.grad.copy()
            model.update_target()
            seen["the context encoder was changed; only the target encoder should follow"] = bool(
                not np.array_equal(context, online))
            seen["the gradients were changed"] = not np.array_equal(model.grad, grad)
            parts = model.target_encoder.named_parameters().values()
            seen["the target is replaced by a new array instead of being changed in place: the "
                 "layers look into the vector that was there"] = bool(
                model.target_encoder.value is not target or not np.array_equal(
                    np.concatenate([part.value.ravel() for part in parts]), target))
            seen[f"the target encoder's values after update {number}"] = target.copy()
        others = [model.embedding.weight.value.ravel(), model.predictor.value]
        seen["the values of the embedding and the predictor"] = np.concatenate(others)
        return seen

    return Case(f"update_target, treatment {treatment!r}, τ = {tau}", look, group="update_target")


def cases():
    for treatment in TREATMENTS[::-1]:
        yield whole_step(toy, treatment)
    for treatment in TREATMENTS:
        for tau in 0.9, 0.6:
            yield update(treatment, tau)
