"""Aftercare's tables: the facts of units, by what each is covered now, answers, and what is read of the gate."""
