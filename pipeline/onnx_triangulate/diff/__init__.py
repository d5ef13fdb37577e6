"""What two graphs have differently: both in normal form, matched by dataflow, compared attribute by attribute."""
