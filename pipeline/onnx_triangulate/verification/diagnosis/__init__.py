"""What is behind a blame as a whole: one search per module; what they ask workers to compute is in ``locate``."""
