"""One graph made of another: in float64, cut into parts, without its weights, at fixed sizes."""
