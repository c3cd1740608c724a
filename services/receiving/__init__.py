"""The gate: masters, allocation of serials and batches, and the answer to every upstream."""
