"""The exercises in their order, their hints, and where the package has their solutions."""

TITLES = {
    "finite_differences": "finite differences: the slope, measured",
    "relu": "ReLU: where does the gradient pass?",
    "linear": "Linear: three gradients from one matrix product",
    "mse": "mean squared error: where the 1/N lives",
    "mean": "mean over tokens: what is padding worth?",
    "embedding": "Embedding: a word that occurs twice",
    "sequential": "Sequential: the chain rule is a reversed loop",
    "used_twice": "a layer used twice: gradients add up",
    "sgd": "SGD with momentum",
    "adam": "Adam with bias correction",
    "stop_gradient": "the stop-gradient and the EMA target",
    "jepa_step": "the whole JEPA step, on your own parts",
    "retrieval": "cosine retrieval: what does it predict?",
    "effective_rank": "effective rank: how many directions?",
    "variance_hinge": "the variance hinge: no dimension may die",
    "covariance_penalty": "the covariance penalty: no dimension twice",
    "bug1": "find the bug: a Linear that passes its check",
    "bug2": "find the bug: an mse that passes its check",
    "bug3": "find the bug: an Embedding that passes its check",
    "bug4": "find the bug: a Mean that passes its check",
    "bug5": "find the bug: a ReLU that passes its check",
    "bug6": "find the bug: all gradients are right, and yet",
    "bug7": "find the bug: an Adam whose first step is right",
    "bug8": "find the bug: a JEPA's target branch",
    "bug9": "find the bug: a step of training",
}

HINTS = {
    "finite_differences": (
        "f reads x itself, so you ask for f(x + ε·e_i) by changing x[index] and calling f(). You "
        "need two such calls, one on each side of x.",
        "The two points are 2ε apart: the difference of the two values is divided by 2ε. Mind the "
        "parentheses: a / 2 * ε is (a / 2)·ε.",
        "x[index] += ε and then x[index] -= ε does not always give back the same number, since "
        "both round. Keep the number that was there: kept = x[index].",
        "kept = x[index]; x[index] = kept + epsilon; right = f(); x[index] = kept − epsilon; "
        "left = f(); x[index] = kept.",
    ),
    "relu": (
        "Where x_i > 0, y_i is x_i: nudge x_i, and y_i moves by as much. Where x_i < 0, y_i is 0 "
        "and stays 0. These are the two values of ∂y_i/∂x_i.",
        "The gradient is dy_i times that derivative, so dy passes where x is above 0, and nothing "
        "passes elsewhere. It is x that decides, not dy.",
        "x > 0 is an array of True and False, and these count as 1 and 0 when multiplied with dy.",
    ),
    "linear": (
        "Take one row first: x (in,), y (out,), and write the three derivatives from y_o = Σ_i x_i "
        "weight_oi + bias_o.",
        "dx_i = Σ_o dy_o · weight_oi: that is dy times weight. dweight_oi = dy_o · x_i: the outer "
        "product of dy and x. dbias_o = dy_o.",
        "Each row of x used the same weight and bias, so dweight and dbias are the sums over all "
        "rows. Bring x and dy to two dimensions first: dy.reshape(-1, dy.shape[-1]) has one row "
        "for each.",
        "With rows of dy (N, out) and of x (N, in), the sum of the outer products is one matrix "
        "product, rows_dy.T @ rows_x (out, in). Add it: self.weight.grad += …",
    ),
    "mse": (
        "The loss is a sum of N terms divided by N, and prediction_i is in one of the terms alone.",
        "The derivative of (p − t)² by p is 2·(p − t); by t it is the same with the other sign.",
        "N is the number of all entries, difference.size; and the whole is multiplied by dloss. "
        "Return both gradients, as a tuple.",
    ),
    "mean": (
        "Suppose a sentence of 3 tokens and 2 of padding. By how much does y_be move when x_bte of "
        "the first token does? And when x_bte of the padding does?",
        "y_be = Σ_t share_bt · x_bte, so dx_bte = share_bt · dy_be: the same dy goes to every "
        "token of the sentence, each with its share.",
        "share has the shape (B, T, 1) and dy (B, E): give dy an axis for the tokens, "
        "dy[:, None, :], and let them broadcast to (B, T, E).",
    ),
    "embedding": (
        "Row v of the table appears in y wherever ids == v. Each of these places sends a gradient "
        "back to the same row.",
        "So dweight_v is the sum of dy over the places where ids == v, and 0 for a word that does "
        "not occur.",
        "self.weight.grad[ids] += dy reads each row once, adds, and writes once: of two places "
        "with the same id only one is left. It needs an addition that happens for each place.",
        "A loop over all places does it, `for place in np.ndindex(ids.shape)`; so does "
        "np.add.at(array, ids, values).",
    ),
    "sequential": (
        "dy is the gradient of the output of the last layer. Whose backward wants just that?",
        "What the last layer's backward returns is the gradient of its input: the output of the "
        "layer before it. Give it to that layer's backward, and so on.",
        "for undo in reversed(backwards): dy = undo(dy). Then return what is left: with no layer "
        "at all that is dy.",
    ),
    "used_twice": (
        "Begin with K = 2 on paper: s → ŝ_1 → ŝ_2. The loss sees ŝ_2 directly, and ŝ_1 directly "
        "and through ŝ_2.",
        "Go from the last step to the first. What the backward of step k + 1 returns is a gradient "
        "toward ŝ_k: it is added to dpredictions[k − 1] before step k is undone.",
        "Start with ds = 0; for each step from the last: ds = backward_k(dprediction_k + ds), "
        "which makes a new array. dpredictions[k] += … would write into the caller's.",
        "After step 1 is undone, ds is the gradient toward ŝ_0, which is s_x: return ds, None.",
    ),
    "sgd": (
        "The two lines of the formula are the two lines of the code; only mind which arrays change "
        "in place.",
        "velocity is self.state[\"velocity\"], and must be there in the next step: change it in "
        "place, or put the new one into self.state.",
        "velocity *= self.momentum; velocity += self.grad; self.value -= self.learning_rate * "
        "velocity.",
    ),
    "adam": (
        "Five lines for five formulas, in this order: t, m, v, the two corrections, value.",
        "t is counted up first, so it is 1 in the first step; 1 − β⁰ would be 0, and something "
        "would be divided by it.",
        "m̂ and v̂ are new arrays: were they written back into m and v, the next step would "
        "correct them again. ε is added after the root: √v̂ + ε.",
        "m[:] = beta1 * m + (1 − beta1) * self.grad, v likewise with self.grad**2; then self.value "
        "-= self.learning_rate * m_hat / (np.sqrt(v_hat) + self.epsilon).",
    ),
    "stop_gradient": (
        "mse_backward(dloss) returns two gradients, in the order of mse's inputs. One goes to "
        "predict_backward; the other may go to target_backward.",
        "To stop a gradient is to leave out a call. In which one of the three treatments is "
        "target_backward called?",
        "update_target does something in 'ema' alone. target is a view of the vector that the "
        "layers read: `target = …` would only give a name to a new array, `target[:] = …` writes "
        "into the one that is there.",
        "target[:] = tau * target + (1 − tau) * online, with target = self.target_encoder.value, "
        "online = self.context_encoder.value and tau = self.tau.",
    ),
    "jepa_step": (
        "Each encode has the backwards of its parts at hand, named after them. Read the forward "
        "from below: the part that came last is undone first.",
        "encode_context: ds_x goes through encoder_backward, then mean_backward, then "
        "embedding_backward. encode_target has no mean.",
        "In step: model.grad[:] = 0 before backward, since gradients only ever add up; "
        "optimizer.step() after it; model.update_target() last, so that the target follows the new "
        "parameters.",
        "loss, backward = model.forward(x, y); then backward(), without an argument, is the "
        "gradient of the loss itself.",
    ),
    "retrieval": (
        "If each row of a and b is divided by its own length first, the cosine is the product of "
        "two rows; and all the products of rows are one matrix product.",
        "The length of each row is np.linalg.norm(rows, axis=1, keepdims=True), of shape (N, 1), "
        "so that it divides row by row. Where it is 0 divide by something else: np.maximum(…, "
        "TINY). 0 / TINY is 0.",
        "np.argsort sorts from small to large. Sort the negated cosines along axis=1, and keep the "
        "first `count` columns: [:, :count].",
    ),
    "effective_rank": (
        "Four lines: take the mean of each column away (axis=0), the singular values, their "
        "shares, the exponential of the entropy.",
        "np.linalg.svd(centred, compute_uv=False) gives the σ alone. Their sum is 0 if all latents "
        "are one point: answer 0.0 before you divide by it.",
        "A share of 0 adds nothing to an entropy, but 0·log 0 is NaN in NumPy: keep the p above 0 "
        "only. Then np.exp(-(p * np.log(p)).sum()).",
    ),
    "variance_hinge": (
        "loss is the mean of L hinges: a dimension with std_j < floor has ∂loss/∂std_j = −1/L, any "
        "other has 0. That is an array (L,): dstd.",
        "std = √(Var + ε), so dVar = dstd / (2·std): the root that the forward has computed stands "
        "below.",
        "Var is a sum of squares over N − 1, so each entry of column j gets dVar_j · 2·centred_nj "
        "/ (N − 1). The mean: taking it away in the forward means taking the mean of each column "
        "of the gradient away in the backward; and that is 0 already, since centred sums to 0.",
        "dstd = (std < floor) * (−float(dloss) / L); then centred * (dstd / std / (N − 1)): the "
        "two 2s cancel.",
    ),
    "covariance_penalty": (
        "The derivative of C_ij² / L by C_ij is 2·C_ij / L; on the diagonal, which the loss does "
        "not see, it is 0. off_diagonal has those zeros already.",
        "centred_ni is in C_ij and in C_ji, for every j. The two are equal, so the gradient of one "
        "is counted twice.",
        "dcentred_ni = 2 · Σ_j dC_ij · centred_nj / (N − 1): a matrix product of centred (N, L) "
        "with a matrix (L, L).",
        "centred @ off_diagonal, times 4 · dloss / (L·(N − 1)). One 2 is that of the square, the "
        "other that of the pair.",
    ),
    "bug1": (
        "The report says of which array the gradient is wrong, and what it does not depend on. "
        "Find the line that computes it.",
        "The check in the file has a dy of all ones. What is the sum of N ones? Would another "
        "formula give the same?",
        "Each row of y has the bias added once, so the gradient of the bias is the sum of dy over "
        "the rows: a sum, and not a count.",
    ),
    "bug2": (
        "The report names the factor, and the size that it belongs to. What is that size in the "
        "check in the file?",
        "The check in the file has a batch of one. What does it change to divide by 1, as often as "
        "one likes?",
        "difference.size is B·L: the batch is in it already.",
    ),
    "bug3": (
        "The report says which rows of the table are right. What do the others have in common?",
        "In the check in the file, all ids differ. Try it with [[4, 0, 4], [2, 8, 4]].",
        "grad[ids] += dy is grad[ids] = grad[ids] + dy: the right side is computed for all places "
        "first, then each place writes its row, and the last one stays. np.add.at adds for each "
        "place.",
    ),
    "bug4": (
        "The report says at which places dx is right. What about the other places?",
        "Of the 60 entries of dx, how many belong to padding? That is how often one random entry "
        "finds the bug.",
        "dx is filled with dy / count at every token. Padding has no part in y: multiply with the "
        "mask.",
    ),
    "bug5": (
        "The check in the file calls forward once and then backward. What happens if forward is "
        "called again before it?",
        "There is one `self`, and every forward writes into it. backward then reads what the last "
        "forward has written, not its own.",
        "Keep it in a local variable, positive = x > 0: each call of forward makes a new one, and "
        "its backward sees just that one.",
    ),
    "bug6": (
        "The parameters' gradients are all right. What else is there that a backward could have "
        "done?",
        "Who owns dpredictions? Look at dpredictions before the call and after it.",
        "dpredictions[k − 1] += … writes into the caller's array. Add into a new one: ds = "
        "backwards[k](dpredictions[k] + ds), with ds = 0 at first.",
    ),
    "bug7": (
        "The first step is right, so look for what the first step leaves behind: print self.state "
        "after it.",
        "m and v are averages from step to step; m̂ and v̂ are for one step alone.",
        "m /= … changes the array in self.state. Give the corrected ones names of their own: m_hat "
        "= m / (1 − beta1**t).",
    ),
    "bug8": (
        "The gradients are checked first. Which half of the file does the report speak of?",
        "Take τ = 0.99, target = 0 and online = 1. Where is the target after one update, and where "
        "should it be?",
        "target + τ·(online − target) is (1 − τ)·target + τ·online. Exchange the two.",
    ),
    "bug9": (
        "Every line that is there is right. What does the second step find that the first did not?",
        "backward adds to model.grad, as it must, since a shared parameter has several paths to "
        "the loss. Who takes away what the step before has left there?",
        "model.grad[:] = 0 before backward().",
    ),
}

SOLUTIONS = {
    "finite_differences": ["minijepa.gradcheck:shifted", "minijepa.gradcheck:central_difference"],
    "relu": ["minijepa.layers:ReLU"],
    "linear": ["minijepa.layers:Linear"],
    "mse": ["minijepa.losses:mse"],
    "mean": ["minijepa.layers:Mean"],
    "embedding": ["minijepa.layers:Embedding"],
    "sequential": ["minijepa.layers:Sequential"],
    "used_twice": ["minijepa.predictors:Rollout"],
    "sgd": ["minijepa.optimizers:SGD"],
    "adam": ["minijepa.optimizers:Adam"],
    "stop_gradient": ["minijepa.jepa:JEPA.forward", "minijepa.jepa:JEPA.update_target"],
    "jepa_step": ["minijepa.jepa:ToyJEPA", "minijepa.train:train_epoch"],
    "retrieval": ["minijepa.gauges:cosine_similarity", "minijepa.gauges:retrieve"],
    "effective_rank": ["minijepa.gauges:effective_rank"],
    "variance_hinge": ["minijepa.losses:variance_hinge"],
    "covariance_penalty": ["minijepa.losses:covariance_penalty"],
    "bug1": ["minijepa.layers:Linear"],
    "bug2": ["minijepa.losses:mse"],
    "bug3": ["minijepa.layers:Embedding"],
    "bug4": ["minijepa.layers:Mean"],
    "bug5": ["minijepa.layers:ReLU"],
    "bug6": ["minijepa.predictors:Rollout"],
    "bug7": ["minijepa.optimizers:Adam"],
    "bug8": ["minijepa.jepa:JEPA.update_target"],
    "bug9": ["minijepa.train:train_epoch"],
}
