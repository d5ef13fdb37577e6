"""Where the numbers part: the faulty node, kernel, pass, the feeds that show it, and where a difference comes from."""
