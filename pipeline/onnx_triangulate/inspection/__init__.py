"""`inspect`: one graph looked into, its diagnostics, its picture."""
