"""One file an exercise: its title, hints, solution, known mistakes, and the cases of its check."""
