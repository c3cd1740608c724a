"""Tracing: where goods came from, where they went, and whether all of them are accounted for.

The one idea: goods are a batch, a unit or an untracked item; makings stand between goods; and what happened to goods is
what the ledger's entries say of them. So a trace goes from goods to makings to goods, one step of all goods at a time,
each step a few look-ups by key, and takes time and memory for what it tells, whatever else there is.
"""
