"""The command line: words in, a supervised run, reports out, an exit status."""
