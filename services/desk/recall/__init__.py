"""Recalls at the desk: whom to reach, what stands where, and the evidence file that closes one.

The one idea: what is recalled the gate found when it froze it; where that went the ledger's entries tell, by the walk
and the balances of a trace. All is read as of one moment, and what the ledger still owes the gate is told beside it.
"""
