import cProfile
import os
import sys
import time

import numpy as np

from minijepa import jepa, optimizers
from minijepa.exercises import checks
from minijepa.exercises.checks import Case, Fail
from minijepa.exercises.museum.stop_gradient import batch, small, whole_step
from minijepa.jepa import TREATMENTS
from minijepa.worlds.words import Words

TITLE = "the whole JEPA step, on your own parts"
SOURCE = "minijepa.jepa:ToyJEPA minijepa.exercises.museum.jepa_step:step"
HINTS = """
Each encode has the backwards of its parts at hand, named after them. Read the forward from below:
the part that came last is undone first.

encode_context: ds_x goes through encoder_backward, then mean_backward, then embedding_backward.
encode_target has no mean.

In step: model.grad[:] = 0 before backward, since gradients only ever add up; optimizer.step() after
it; model.update_target() last, so that the target follows the new parameters.

loss, backward = model.forward(x, y); then backward(), without an argument, is the gradient of the
loss itself.
"""
# z zero, f forward, b backward, o optimizer step, t target
STEPS = {
    "the gradients are never zeroed: those of all steps add up": "fbot",
    "the gradients are zeroed between backward and the optimizer step": "fbzot zfbzot",
    "the target is updated before the optimizer step": "zfbto zftbo ztfbo",
    "the target is updated before everything else, and not after the optimizer step": "tzfbo",
    "the target is never updated": "zfbo",
    "the optimizer step is missing": "zfbt",
    "the optimizer step is missing, and the target is never updated": "zfb",
    "backward is not called": "zfot zfto fot zft zf",
    "the optimizer step comes before backward": "zfobt zfotb",
    "the optimizer step comes before backward, with the gradients of the step before": "fozbt fobt",
    "backward is called twice": "zfbbot",
    "the optimizer steps twice": "zfboot zfboto",
    "the optimizer steps twice, and backward is called twice": "zfbobot",
    "the target is updated twice": "zfbott zfbtot",
    "forward and backward are done twice: their gradients add up": "zfbfbot",
    "the gradients are never zeroed, and the target is never updated": "fbo",
    "the gradients are never zeroed, and the target is updated before the optimizer step": "fbto",
}
LINES = {"z": "model.grad[:] = 0", "f": "loss, backward = model.forward(x, y)", "b": "backward()",
         "o": "optimizer.step()", "t": "model.update_target()"}
ORDERS = r"""
### the values are set to zero, and not the gradients: model.grad[:] = 0
model.grad[:] = 0 => model.value[:] = 0
### only a part of the gradients is set to zero: model.grad is the vector of all of them
model.grad[:] = 0 => model.context_encoder.grad[:] = 0
# or
model.grad[:] = 0 => model.predictor.grad[:] = 0
# or
model.grad[:] = 0 => model.embedding.weight.grad[:] = 0
### model.grad = … gives the name to a new vector, which the layers and the optimizer do not see:
### model.grad[:] = 0
model.grad[:] = 0 => model.grad = 0 * model.grad
# or
model.grad[:] = 0 => optimizer.grad = model.grad = 0 * model.grad
### backward is given the loss, and should be given 1 or nothing: the gradient of the loss itself
    backward() =>     backward(loss)
# or
    backward() =>     backward(float(loss))
### the backward is given −1, so that the step goes uphill: the gradient of the loss itself has 1
    backward() =>     backward(-1)
### the gradient is made smaller (divided by the batch or the number of targets): the mean lives in
### mse
    backward() =>     backward(1 / len(x[0]))
# or
    backward() =>     backward(1 / y.size)
### the loss is that after the update; wanted is the one whose gradient was taken
return loss => return model.forward(x, y)[0]
### the loss is not returned
return loss => return
### what is returned is not the loss: it is multiplied by the batch
return loss => return loss * len(x[0])
""" + "".join(f"### {sentence}\n" + "\n# or\n".join(
    f"{LINES['z']} => {'; '.join([LINES[each] for each in order] + ['return loss'])}"
    for order in orders.split()) + "\n" for sentence, orders in STEPS.items())
MISTAKES = ORDERS + r"""
### no gradient comes from the context branch to the embedding
embedding_backward(mean_backward(encoder_backward(ds_x))) => mean_backward(encoder_backward(ds_x))
# or
embedding_backward(mean_backward(encoder_backward(ds_x))) => encoder_backward(ds_x)
### no gradient comes to the context encoder, and through it to the embedding
embedding_backward(mean_backward(encoder_backward(ds_x))) => pass
### no gradient comes from the target branch to the embedding
embedding_backward(encoder_backward(ds_y)) => encoder_backward(ds_y)
### no gradient comes to the target encoder, and through it to the embedding, in 'joint'
embedding_backward(encoder_backward(ds_y)) => pass
### encoder_backward is called twice in encode_context: its gradients are there two times
embedding_backward(mean_backward( => encoder_backward(ds_x); embedding_backward(mean_backward(
### encoder_backward is called twice in encode_target: its gradients are there two times
embedding_backward(encoder_backward(ds_y
=> encoder_backward(ds_y); embedding_backward(encoder_backward(ds_y
### embedding_backward is called twice in encode_context
embedding_backward(mean_backward(encoder_backward(ds_x)))
=> d = mean_backward(encoder_backward(ds_x)); embedding_backward(d); embedding_backward(d)
### embedding_backward is called twice in encode_target
embedding_backward(encoder_backward(ds_y))
=> d = encoder_backward(ds_y); embedding_backward(d); embedding_backward(d)
### the parts are undone in the order of the forward: that which came last must be undone first
embedding_backward(mean_backward(encoder_backward(ds_x)))
=> encoder_backward(mean_backward(embedding_backward(ds_x)))
# or
embedding_backward(mean_backward(encoder_backward(ds_x)))
=> embedding_backward(encoder_backward(mean_backward(ds_x)))
# or
embedding_backward(mean_backward(encoder_backward(ds_x)))
=> mean_backward(encoder_backward(embedding_backward(ds_x)))
# or
embedding_backward(mean_backward(encoder_backward(ds_x)))
=> embedding_backward(mean_backward(ds_x)); encoder_backward(ds_x)
# or
embedding_backward(encoder_backward(ds_y)) => encoder_backward(embedding_backward(ds_y))
### mean_backward is left out: the encoder's gradient goes straight to the embedding
embedding_backward(mean_backward(encoder_backward(ds_x)))
=> embedding_backward(encoder_backward(ds_x))
# or
mean_backward(encoder_backward(ds_x))
=> encoder_backward(ds_x)[:, None] * np.ones((1, embedded.shape[1], 1))
# or
mean_backward(encoder_backward(ds_x))
=> np.broadcast_to(encoder_backward(ds_x)[:, None] / embedded.shape[1], embedded.shape)
### encoder_backward is left out: the latent's gradient goes straight on
embedding_backward(mean_backward(encoder_backward(ds_x))) => embedding_backward(mean_backward(ds_x))
# or
embedding_backward(encoder_backward(ds_y)) => embedding_backward(ds_y)
### what encoder_backward returns is thrown away, and ds_x (or ds_y) handed on in its place
embedding_backward(mean_backward(encoder_backward(ds_x)))
=> encoder_backward(ds_x); embedding_backward(mean_backward(ds_x))
# or
embedding_backward(encoder_backward(ds_y)) => encoder_backward(ds_y); embedding_backward(ds_y)
### s_x or s_y, the latents, are handed back and not their gradients
encoder_backward(ds_x) => encoder_backward(s_x)
# or
encoder_backward(ds_y) => encoder_backward(s_y)
### the gradient's sign is turned on the way
encoder_backward(ds_x) => encoder_backward(-ds_x)
# or
encoder_backward(ds_y) => encoder_backward(-ds_y)
"""
PARTS = ("embedding", "relu", "linear", "mean", "mse", "sequential", "used_twice", "adam",
         "stop_gradient")
SECONDS = 15                                           # that a training may take


def step(model, optimizer, x, y):
    """One step of training, as in train_epoch: the loss from before it."""
    model.grad[:] = 0
    loss, backward = model.forward(x, y)
    backward()
    optimizer.step()
    model.update_target()
    return loss


def some_steps(module):
    """Four steps on the package's model and Adam."""
    rng = np.random.default_rng(1)
    model, seen = small(jepa.ToyJEPA, "ema"), {}
    optimizer = optimizers.Adam(model.value, model.grad, 0.02)
    order = spied(model, optimizer)
    for number in 1, 2, 3, 4:
        loss = module.step(model, optimizer, *batch(rng))
        seen["model.grad was replaced by a new vector, which the layers do not see: "
             "model.grad[:] = 0"] = model.grad.base is not model.embedding.weight.grad.base
        seen[f"_order {number}"] = " ".join(order)
        seen[f"all values of the model after step {number}"] = model.value.copy()
        seen[f"the loss that step {number} returns"] = loss
    return seen


def spied(model, optimizer):
    """A list of what will be called, in order, and whether the gradients are 0 at that time."""
    order = []

    def spy(function, name):
        def spying(*args):
            order.append(name + ("0" if not model.grad.any() else ""))
            result = function(*args)
            return (result[0], spy(result[1], "backward")) if name == "forward" else result
        return spying

    model.forward, optimizer.step = spy(model.forward, "forward"), spy(optimizer.step, "step")
    model.update_target = spy(model.update_target, "update")
    return order


class Parts(Case):
    """The learner's other files, on which this one stands."""

    def judge(self, learner, right, quick=False):
        for name in PARTS:
            part = sys.modules.get(name)
            try:
                if part is not None:
                    checks.passes(name, part)
            except NotImplementedError:
                raise
            except Exception:
                raise Fail(f"jepa_step stands on your {name}.py, and that does not pass its own "
                           f"check: mend it first\n    python -m minijepa.exercises check {name}"
                           ) from None


class Training(Case):
    """It trains the word world, in float64, so that no part need keep to float32."""

    def judge(self, learner, right, quick=False):
        started, rng = time.perf_counter(), np.random.default_rng(0)
        world = Words(rng)
        model = learner.ToyJEPA(len(world.vocabulary), rng, dtype=np.float64)
        adam = getattr(learner, "Adam", optimizers.Adam)
        optimizer = adam(model.value, model.grad, learning_rate=3e-3)
        for epoch in range(1, 61):
            for x, y, _ in world.batches(32, rng):
                learner.step(model, optimizer, x, y)
                if time.perf_counter() - started > SECONDS:
                    file = slowest(lambda: learner.step(model, optimizer, x, y))
                    raise Fail(f"all gradients and steps are right, but the training is slow: not "
                               f"done after {SECONDS} s, in epoch {epoch}. Most of the time goes "
                               f"into {file}: look for a loop over entries there, and write it as "
                               "one operation on whole arrays")
            rate = world.measure(model)["hits"]
            if rate == 1 and epoch >= 12:
                return
        raise Fail("all gradients and steps are right, but after 60 epochs in the word world the "
                   f"share of hits is {rate:.2f}, wanted 1.00: are the sizes, the start and the "
                   "treatment (ema) of ToyJEPA those given?")


def slowest(work):
    """The file in which it spends most of its time, what it calls of NumPy included."""
    profile, spent = cProfile.Profile(), {}
    profile.runcall(work)
    for entry in profile.getstats():
        if not isinstance(entry.code, str):
            built_in = sum(each.inlinetime for each in entry.calls or ()
                           if isinstance(each.code, str))
            file = os.path.basename(entry.code.co_filename)
            spent[file] = spent.get(file, 0) + entry.inlinetime + built_in
    return max(spent, key=spent.get)


def cases():
    yield Parts("your parts", lambda module: {})
    for treatment in TREATMENTS[::-1]:
        yield whole_step(lambda module: module.ToyJEPA, treatment)
    yield Case("step", some_steps, group="step")
    yield Training("training", lambda module: {})
