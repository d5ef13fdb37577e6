"""`verify`: a case exported, run by every party, triangulated, and its faulty nodes named."""
