import numpy as np

from minijepa.exercises.checks import L
from minijepa.exercises.museum.sgd import goes_on, walk

TITLE = "Adam with bias correction"
SOURCE = "minijepa.optimizers:Adam minijepa.optimizers:blocks"
HINTS = """
Five lines for five formulas, in this order: t, m, v, the two corrections, value.

t is counted up first, so it is 1 in the first step; 1 − β⁰ would be 0, and something would be
divided by it.

m̂ and v̂ are new arrays: were they written back into m and v, the next step would correct them
again. ε is added after the root: √v̂ + ε.

m[:] = beta1 * m + (1 - beta1) * self.grad, v likewise with self.grad**2; then self.value -=
self.learning_rate * m_hat / (np.sqrt(v_hat) + self.epsilon).
"""
STEP = "self.learning_rate / m_scale * m / (np.sqrt(v) / v_scale**0.5 + self.epsilon)"
MISTAKES = r"""
### the bias correction is missing
= 1 - beta1**t, 1 - beta2**t => = 1, 1
### only m is corrected, not v
= 1 - beta1**t, 1 - beta2**t => = 1 - beta1**t, 1
### only v is corrected, not m
= 1 - beta1**t, 1 - beta2**t => = 1, 1 - beta2**t
### t is counted after it is used: it is 0 in the first step, and something is divided by 1 − β⁰ = 0
(beta1, beta2), state = self.betas, self.state
state["m"] += (1 - beta1) * (self.grad - state["m"])
state["v"] += (1 - beta2) * (self.grad**2 - state["v"])
m_hat, v_hat = state["m"] / (1 - beta1**state["t"]), state["v"] / (1 - beta2**state["t"])
self.value -= self.learning_rate * m_hat / (np.sqrt(v_hat) + self.epsilon)
state["t"] += 1
# or
t = int(self.state["t"]) => t = int(self.state["t"]) - 1
### t begins at 2: it is counted twice in the first step
t = int(self.state["t"]) => t = int(self.state["t"]) + 1
### t is counted twice in every step
t = int(self.state["t"]) => t = 2 * int(self.state["t"])
### t is not counted: it is 1 in every step, so that it is divided by 1 − β and not by 1 − βᵗ
t = int(self.state["t"]) => t = 1
### β·t stands in place of βᵗ
1 - beta1**t, 1 - beta2**t => 1 - beta1 * t, 1 - beta2 * t
# or
1 - beta1**t, 1 - beta2**t => 1 - beta1 * t, abs(1 - beta2 * t)
### (1 − β)ᵗ stands in place of 1 − βᵗ
1 - beta1**t, 1 - beta2**t => (1 - beta1)**t, (1 - beta2)**t
### it is divided by βᵗ in place of 1 − βᵗ
1 - beta1**t, 1 - beta2**t => beta1**t, beta2**t
### it is divided by 1 + βᵗ in place of 1 − βᵗ
1 - beta1**t, 1 - beta2**t => 1 + beta1**t, 1 + beta2**t
### it is divided by 1 − β^(1/t) or 1 − t^β in place of 1 − βᵗ
1 - beta1**t, 1 - beta2**t => 1 - beta1**(1 / t), 1 - beta2**(1 / t)
# or
1 - beta1**t, 1 - beta2**t => 1 - t**beta1, 1 - t**beta2
### β₁ corrects both, m and v
1 - beta1**t, 1 - beta2**t => 1 - beta1**t, 1 - beta1**t
### β₂ corrects both, m and v
1 - beta1**t, 1 - beta2**t => 1 - beta2**t, 1 - beta2**t
### the two corrections are exchanged: m is divided by 1 − β₂ᵗ and v by 1 − β₁ᵗ
1 - beta1**t, 1 - beta2**t => 1 - beta2**t, 1 - beta1**t
### the corrections are multiplied, and should be divided by
1 - beta1**t, 1 - beta2**t => 1 / (1 - beta1**t), 1 / (1 - beta2**t)
### v is corrected after the root: √v / (1 − β₂ᵗ), and not √(v / (1 − β₂ᵗ))
v_scale**0.5 => v_scale
### ε stands inside the root
np.sqrt(v) / v_scale**0.5 + self.epsilon => np.sqrt(v / v_scale + self.epsilon)
### ε stands inside the root and after it
np.sqrt(v) / v_scale**0.5 + => np.sqrt(v / v_scale + self.epsilon) +
### ε² stands inside the root
np.sqrt(v) / v_scale**0.5 + self.epsilon => np.sqrt(v / v_scale + self.epsilon**2)
### ε is added to √v before its correction, and not to √v̂
(np.sqrt(v) / v_scale**0.5 + self.epsilon) => ((np.sqrt(v) + self.epsilon) / v_scale**0.5)
### it lacks the parentheses: m̂ / √v̂ + ε adds ε to the quotient, not to the root
(np.sqrt(v) / v_scale**0.5 + self.epsilon)
=> (np.sqrt(v) / v_scale**0.5) - self.learning_rate * self.epsilon
# or
STEP => self.learning_rate * (m / m_scale / np.sqrt(v / v_scale) + self.epsilon)
# or
STEP => self.learning_rate * m / m_scale / np.sqrt(v / v_scale) + self.epsilon
### it lacks the parentheses: m̂ / √v̂ + ε adds ε to the quotient, not to the root
STEP => self.learning_rate * (m / m_scale / np.sqrt(v / v_scale + 1e-300) + self.epsilon)
### ε is subtracted
v_scale**0.5 + => v_scale**0.5 -
### ε is left out
v_scale**0.5 + self.epsilon => v_scale**0.5
# or
np.sqrt(v) / v_scale**0.5 + self.epsilon => np.sqrt(v + 1e-300) / v_scale**0.5
### the larger of √v̂ and ε is taken, and not their sum
np.sqrt(v) / v_scale**0.5 + self.epsilon => np.maximum(np.sqrt(v) / v_scale**0.5, self.epsilon)
### the argument epsilon is ignored
v_scale**0.5 + self.epsilon => v_scale**0.5 + 1e-8
### the argument betas is ignored
beta1, beta2 = self.betas => beta1, beta2 = 0.9, 0.999
### β₁ and β₂ are exchanged
beta1, beta2 = self.betas => beta2, beta1 = self.betas
### β₁ is used for v too
beta1, beta2 = self.betas => beta1 = beta2 = self.betas[0]
### β₂ is used for m too
beta1, beta2 = self.betas => beta1 = beta2 = self.betas[1]
### β and 1 − β are exchanged, in m and in v
m *= beta1 => m *= 1 - beta1
m += (1 - beta1) => m += beta1
v *= beta2 => v *= 1 - beta2
v += (1 - beta2) => v += beta2
### β and 1 − β are exchanged in m
m *= beta1 => m *= 1 - beta1
m += (1 - beta1) => m += beta1
### β and 1 − β are exchanged in v
v *= beta2 => v *= 1 - beta2
v += (1 - beta2) => v += beta2
### the gradient is added without its share 1 − β, in m and in v
m += (1 - beta1) * => m +=
v += (1 - beta2) * => v +=
### the gradient is added to m without its share 1 − β₁
m += (1 - beta1) * => m +=
### the square is added to v without its share 1 − β₂
v += (1 - beta2) * => v +=
### the share of the gradient in m is β₁ and not 1 − β₁
m += (1 - beta1) => m += beta1
### the share of the square in v is β₂ and not 1 − β₂
v += (1 - beta2) => v += beta2
### the share of the square in v is 1 − β₁ and not 1 − β₂
v += (1 - beta2) => v += (1 - beta1)
### the share of the square is squared with it: ((1 − β₂)·grad)²
(1 - beta2) * grad**2 => ((1 - beta2) * grad)**2
### v averages the gradient and not its square
* grad**2 => * grad
### v averages |grad| and not grad²
* grad**2 => * np.abs(grad)
### v averages m² and not grad²
* grad**2 => * m**2
### v averages the square of the whole gradient's length: each entry has its own
* grad**2 => * (self.grad @ self.grad)
# or
* grad**2 => * np.mean(self.grad**2)
### the square is around the mean, as in a variance: (grad − m)² stands where grad² belongs
* grad**2 => * (grad - m)**2
### the root of v̂ is missing
np.sqrt(v) / v_scale**0.5 => v / v_scale
### v̂ is left out: it is not divided by its root
STEP => self.learning_rate * m / m_scale
### the gradient stands where m̂ belongs
* m / => * grad * m_scale /
### it is multiplied by √v̂ + ε, and should be divided by it
m / (np.sqrt(v) / v_scale**0.5 + self.epsilon) => m * (np.sqrt(v) / v_scale**0.5 + self.epsilon)
### the corrected m̂ and v̂ are kept as m and v: each step then corrects them again
value -= STEP
=> m /= m_scale; v /= v_scale; value -= self.learning_rate * m / (np.sqrt(v) + self.epsilon)
### the corrected m̂ is kept as m: each step then corrects it again
value -= => m /= m_scale; m_scale = 1; value -=
### the corrected v̂ is kept as v: each step then corrects it again
value -= => v /= v_scale; v_scale = 1; value -=
### the step is taken with the m and v of the step before
value -= STEP =>
m *= beta1 => value -= STEP; m *= beta1
### the step goes uphill: its sign is wrong
value -= => value +=
### learning_rate is left out
self.learning_rate / m_scale => 1 / m_scale
### learning_rate is applied twice
self.learning_rate / => self.learning_rate**2 /
### learning_rate is fixed, or kept from the constructor: a change of it is not seen
self.epsilon = learning_rate, betas, epsilon
=> self.epsilon = learning_rate, betas, epsilon; self.kept = learning_rate
self.learning_rate / => self.kept /
# or
self.learning_rate / => 1e-3 /
# or
self.learning_rate / => 0.1 /
### m and v are not kept from step to step
m *= beta1 => m *= 0
v *= beta2 => v *= 0
### m is not kept from step to step
m *= beta1 => m *= 0
### v is not kept from step to step
v *= beta2 => v *= 0
### m is not multiplied by β₁: it only grows
m *= beta1 =>
### v is not multiplied by β₂: it only grows, as in AdaGrad
v *= beta2 =>
### v is the largest square so far, as in AMSGrad or AdaMax
v *= beta2 => old = v.copy(); v *= beta2
value -= => v[:] = np.maximum(old, v); value -=
### m is left out of m: the momentum is not there, as in RMSprop
* m / => * grad * m_scale /
### the step is Nesterov's (NAdam): β₁·m̂ + (1 − β₁)·grad / (1 − β₁ᵗ) stands where m̂ belongs
* m / => * (beta1 * m + (1 - beta1) * grad) /
### m and v are not used: every step is as the first one, grad / (|grad| + ε)
STEP => self.learning_rate * grad / (np.abs(grad) + self.epsilon)
### the step is the sign of the gradient, or of m
STEP => self.learning_rate * np.sign(m)
# or
STEP => self.learning_rate * np.sign(grad)
### the value is replaced by the step: it should be subtracted from what is there
value -= => value[:] = -
### the value decays, as in AdamW or with an L2 penalty: neither is in the formula
value -= => value *= 1 - self.learning_rate; value -=
### m, v or the step is computed in float32: it has fewer digits than the values
STEP => (STEP).astype(np.float32)
# or
grad**2 => (grad**2).astype(np.float32)
# or
(1 - beta1) * grad => ((1 - beta1) * grad).astype(np.float32)
### self.value = … gives the name to a new vector: the layers look into the old one. Change it in
### place: self.value -= … or self.value[:] = …
for block in => self.value = self.value.copy()\nfor block in
### step() zeroes self.grad: it should stay as it was (the loop of the training zeroes it)
value -= => grad *= 0; value -=
### self.grad is squared, scaled or changed in place: it should stay as it was
v *= beta2 => v *= beta2; grad *= grad
grad**2 => grad
### t is kept outside of self.state, which is all that a checkpoint stores
self.state["t"] += 1 => self.t = getattr(self, "t", 0) + 1
t = int(self.state["t"]) => t = self.t
### m or v is kept outside of self.state, which is all that a checkpoint stores
m, v = self.state["m"][block], self.state["v"][block]
=> self.m = getattr(self, "m", 0 * grad); m, v = self.m, self.state["v"][block]
# or
m, v = self.state["m"][block], self.state["v"][block]
=> self.v = getattr(self, "v", 0 * grad); m, v = self.state["m"][block], self.v
# or
m, v = self.state["m"][block], self.state["v"][block]
=> self.m, self.v = getattr(self, "m", 0 * grad), getattr(self, "v", 0 * grad); m, v = self.m,\
 self.v
### step() leaves the values as they were
value -= => value -
""".replace("STEP", STEP)


def cases():
    rng = np.random.default_rng(0)
    gradients = rng.standard_normal((6, L)) * np.logspace(-10, 1, L)           # from tiny to large
    gradients[:, 6] = 0                                # and one whose gradient is always 0
    for betas, epsilon, rates in [((0.9, 0.999), 1e-8, [0.1, 0.1, 0.2, 0.05, 0.05, 0.02]),
                                  ((0.8, 0.95), 1e-4, [0.03] * 6), ((0.5, 0.9), 1e-8, [0.1] * 6)]:
        yield walk(f"Adam with β = {betas}, ε = {epsilon:g}", lambda module, value, grad, rate,
                   betas=betas, epsilon=epsilon: module.Adam(value, grad, rate, betas, epsilon),
                   gradients, rates, 1e-9)
    yield goes_on("Adam", lambda module, value, grad, rate: module.Adam(value, grad, rate),
                  gradients)
