"""The frozen records that pass between stages; they know numpy and nobody else."""
