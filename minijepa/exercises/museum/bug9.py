from minijepa.exercises.checks import Case
from minijepa.exercises.museum import jepa_step

TITLE = "find the bug: a step of training"
SOURCE = "minijepa.exercises.museum.jepa_step:step"
HINTS = """
Every line that is there is right. What does the second step find that the first did not?

backward adds to model.grad, as it must, since a shared parameter has several paths to the loss. Who
takes away what the step before has left there?

model.grad[:] = 0 before backward().
"""
MISTAKES = jepa_step.ORDERS


def cases():
    yield Case("step", jepa_step.some_steps, group="step")
