TITLE = "find the bug: an Adam whose first step is right"
LIKE = "adam"
HINTS = """
The first step is right, so look for what the first step leaves behind: print self.state after it.

m and v are averages from step to step; m̂ and v̂ are for one step alone.

m /= … changes the array in self.state. Give the corrected ones names of their own: m_hat = m / (1 -
beta1**t).
"""
