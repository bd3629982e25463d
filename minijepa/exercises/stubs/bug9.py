"""Find the bug: one step of training, finished, and wrong in one place.

    model      any JEPA: model.forward(x, y) -> loss, backward; model.grad is the vector of all
               gradients, to which backward adds; model.update_target() moves an EMA target
    optimizer  an Adam or SGD on model.value and model.grad
    step       one step of training on x and y  ->  the loss

`python -m minijepa.exercises check bug9` finds an error: the first step is right, and the second is
not. Mend it; then answer: why does the loss go down for a while all the same?
"""


def step(model, optimizer, x, y):
    loss, backward = model.forward(x, y)
    backward()
    optimizer.step()
    model.update_target()
    return loss
