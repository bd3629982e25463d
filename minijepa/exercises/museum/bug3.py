TITLE = "find the bug: an Embedding that passes its check"
LIKE = "embedding"
HINTS = """
The report says which rows of the table are right. What do the others have in common?

In the check in the file, all ids differ. Try it with [[4, 0, 4], [2, 8, 4]].

grad[ids] += dy is grad[ids] = grad[ids] + dy: the right side is computed for all places first, then
each place writes its row, and the last one stays. np.add.at adds for each place.
"""
