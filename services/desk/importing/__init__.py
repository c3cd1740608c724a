"""Masters and opening stock from tables: each row is read, checked and turned into what any source would send.

`tables` reads a file, `cells` its values, `columns` says which there are; `rows` and `opening` make messages, `staging`
keeps them until all rows are read. Nothing here writes to the database: the gate judges what comes as it always does.
"""
