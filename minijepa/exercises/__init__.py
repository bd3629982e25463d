"""The gradient-check exercises: python -m minijepa.exercises."""
