"""Faults to plant into exported graphs: one file per stratum, one function per kind of edit.

Design note.  A kind is a function of a :class:`~faults.site.Site` (a copy of a graph that may be edited), the
node to be edited and random numbers; it edits the copy and returns the *accepted* nodes, or None where it does not
apply.  Accepted are, narrowly, the nodes whose text changed; for an inserted node it and the node it feeds; for a
removed node those that consumed it and the one whose value took its place; for a changed initializer the nodes that
read it.  A faulty node outside of them is a miss.  Adding a kind is adding a function; two kinds of one name raise.

Strata and their weights follow what is known of real converter faults; weights of a network (initializers' values) are
a stratum of their own.
"""
