"""Cases: found in files and checked, fed with seeded inputs, in every framework's own order of axes."""
