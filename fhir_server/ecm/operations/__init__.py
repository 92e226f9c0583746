"""The programme's operations: one file each, exporting OPERATION."""
