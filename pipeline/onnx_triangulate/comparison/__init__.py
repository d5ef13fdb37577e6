"""`compare`: two graphs that should mean the same, and every node at which they part."""
