"""`penstock records import`: a file into a collection, once, however often it is interrupted.

The way of a line: `source` (bytes, unpacked) -> `ndjson` or `csv` (a line for the API, or why not)
-> `batch` (the same lines in the same batch each time) -> `send` (until it is answered) -> `ledger`
(what is done, so that the next run goes on there).
"""
