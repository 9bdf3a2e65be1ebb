"""Pure values: records, operations, positions, receipts, pages. No I/O, no clock, no driver."""
