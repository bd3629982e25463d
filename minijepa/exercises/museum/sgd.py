import numpy as np

from minijepa.exercises.checks import L, Case

TITLE = "SGD with momentum"
SOURCE = "minijepa.optimizers:SGD"
HINTS = """
The two lines of the formula are the two lines of the code; only mind which arrays change in place.

velocity is self.state["velocity"], and must be there in the next step: change it in place, or put
the new one into self.state.

velocity *= self.momentum; velocity += self.grad; self.value -= self.learning_rate * velocity.
"""
MISTAKES = r"""
### the velocity is forgotten: velocity = grad, without momentum·velocity
velocity *= self.momentum => velocity *= 0
### the velocity is forgotten, or not kept in self.state for the next step: each step is grad alone
velocity = self.state["velocity"] => velocity = self.state["velocity"].copy()
### the gradient is multiplied by 1 − momentum, as in an average
velocity += self.grad => velocity += (1 - self.momentum) * self.grad
### the gradient is multiplied by momentum too
velocity += self.grad => velocity += self.momentum * self.grad
# or
velocity *= self.momentum => velocity += self.grad
velocity += self.grad => velocity *= self.momentum
### the gradient is left out of the velocity: it is multiplied by momentum alone
velocity += self.grad => velocity += 0
### the gradient is subtracted from the velocity
velocity += self.grad => velocity -= self.grad
### momentum is left out of the velocity, which only grows
velocity *= self.momentum => velocity *= 1
### momentum and 1 − momentum are exchanged
velocity *= self.momentum => velocity *= 1 - self.momentum
### momentum and 1 − momentum are exchanged, in an average
velocity *= self.momentum => velocity *= 1 - self.momentum
velocity += self.grad => velocity += self.momentum * self.grad
### the argument momentum is ignored, and 0.9 is used
velocity *= self.momentum => velocity *= 0.9
### the argument momentum is ignored, and 0 is used
self.value -= self.learning_rate * velocity => self.value -= self.learning_rate * self.grad
### the momentum is Nesterov's: the step is −learning_rate·(grad + momentum·velocity)
* velocity => * (self.grad + self.momentum * velocity)
### the gradient is counted twice: in the velocity and in the step
* velocity => * (self.grad + velocity)
### the step goes uphill: the sign of the step is wrong
self.value -= => self.value +=
### the step is taken with the velocity of the step before
velocity += self.grad => self.value -= self.learning_rate * velocity / self.momentum
self.value -= self.learning_rate * velocity => velocity += self.grad
# or
velocity *= self.momentum => self.value -= self.learning_rate * velocity; velocity *= self.momentum
self.value -= self.learning_rate * velocity =>
### learning_rate is left out
self.learning_rate * velocity => velocity
### learning_rate is a part of the velocity, so that a change of it comes too late
velocity += self.grad => velocity += self.learning_rate * self.grad
self.learning_rate * velocity => velocity
### learning_rate is applied twice: in the velocity and in the step
velocity += self.grad => velocity += self.learning_rate * self.grad
### learning_rate is applied twice
self.learning_rate * velocity => self.learning_rate**2 * velocity
### learning_rate multiplies the old velocity too: it only belongs to the step
velocity *= self.momentum => velocity *= self.momentum * self.learning_rate
### learning_rate is fixed, or kept from the constructor: a change of it is not seen
self.momentum = learning_rate, momentum
=> self.momentum = learning_rate, momentum; self.kept = learning_rate
self.learning_rate * velocity => self.kept * velocity
# or
self.learning_rate * velocity => 1e-3 * velocity
# or
self.learning_rate * velocity => 0.1 * velocity
### the value is replaced by the step: it should be subtracted from what is there
self.value -= self.learning_rate => self.value[:] = -self.learning_rate
### the step is multiplied by momentum once more
self.learning_rate * velocity => self.learning_rate * self.momentum * velocity
### momentum is multiplied with the value: this is a weight decay
self.value -= => self.value *= self.momentum; self.value -=
### the velocity is computed in float32: it has fewer digits than the values
* velocity => * velocity.astype(np.float32)
# or
velocity = self.state["velocity"]
=> velocity = self.state["velocity"] = self.state["velocity"].astype(np.float32)
### self.value = … gives the name to a new vector: the layers look into the old one. Change it in
### place: self.value -= … or self.value[:] = …
self.value -= self.learning_rate * velocity
=> self.value = self.value - self.learning_rate * velocity
### step() zeroes self.grad: it should stay as it was (the loop of the training zeroes it)
self.value -= self.learning_rate * velocity
=> self.value -= self.learning_rate * velocity; self.grad[:] = 0
### the velocity is written into self.grad, which should stay as it was: make a new array
velocity += self.grad => velocity += self.grad; self.grad[:] = velocity
### the velocity is kept outside of self.state, which is all that a checkpoint stores
velocity = self.state["velocity"]
=> velocity = self.velocity = getattr(self, "velocity", 0 * self.value)
### step() leaves the values as they were
self.value -= self.learning_rate * velocity =>
# or
self.value -= self.learning_rate * velocity => self.value - self.learning_rate * velocity
### step() subtracts in a copy of the values, or in a new name: value = self.value; value = value −
### …
self.value -= => value = self.value.copy(); value -=
"""


def walk(what, build, gradients, rates, tolerance=1e-10):
    """Some steps, with a learning rate that changes: build(module, value, grad, rate)."""
    def look(module):
        value, grad = np.linspace(-1, 2, len(gradients[0])), np.zeros(len(gradients[0]))
        start = value.copy()
        optimizer, seen = build(module, value, grad, rates[0]), {}
        for number, (gradient, rate) in enumerate(zip(gradients, rates), 1):
            grad[:], optimizer.learning_rate = gradient, rate
            optimizer.step()
            seen["self.value is another vector after step(), which the layers do not see: change "
                 "it in place, self.value -= … or self.value[:] = …"] = optimizer.value is not value
            seen["step() changes self.grad, which should stay as it was"] = bool(
                optimizer.grad is not grad or not np.array_equal(grad, gradient))
            seen["step() leaves the values as they were"] = bool(np.array_equal(value, start))
            seen[f"the values after step {number}"] = value.copy()
            seen[f"_grad {number}"] = grad.copy()
            for name, array in optimizer.state.items():
                seen[f"_{name} {number}"] = np.array(array, float)
        return seen

    return Case(what, look, tolerance)


def goes_on(what, build, gradients):
    """An optimizer that is given another's state must go on where that one was."""
    def steps(optimizer, gradients):
        for gradient in gradients:
            optimizer.grad[:] = gradient
            optimizer.step()
        return optimizer

    def look(module):
        zeros = np.zeros_like(gradients[0])
        kept = steps(build(module, zeros.copy(), zeros.copy(), 0.1), gradients[:3])
        fresh = build(module, kept.value.copy(), zeros.copy(), 0.1)
        names = ", ".join(sorted(kept.state)) if isinstance(kept.state, dict) else "no dict"
        seen = {"the names in self.state, which a checkpoint keeps": names}
        fresh.state = {name: np.array(array) for name, array in kept.state.items()}
        steps(fresh, gradients[3:]), steps(kept, gradients[3:])
        apart = np.abs(fresh.value - kept.value).max() > 1e-9 * np.abs(kept.value).max()
        seen["something that is remembered from step to step is not in self.state"] = bool(apart)
        return seen

    return Case(f"{what}, another one that is given self.state", look, 1e-9)


def cases():
    gradients = np.random.default_rng(0).standard_normal((6, L))
    for momentum, rates in [(0.9, [0.1, 0.1, 0.2, 0.05, 0.05, 0.02]), (0.5, [0.03] * 6),
                            (0.0, [0.1] * 6)]:
        yield walk(f"SGD with momentum {momentum}", lambda module, value, grad, rate,
                   momentum=momentum: module.SGD(value, grad, rate, momentum), gradients, rates)
    yield goes_on("SGD", lambda module, value, grad, rate: module.SGD(value, grad, rate, 0.9),
                  gradients)
