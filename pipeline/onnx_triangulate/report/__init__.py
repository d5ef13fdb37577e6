"""Reports: what a record looks like to a person, a program, a file.  A report decides nothing.

Design note.  ``formats`` holds one file a format, ``lines`` and ``words`` are what those for people are made of,
``documents`` declares those for programs, ``files`` writes.
"""
