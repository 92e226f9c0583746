"""One file per operation, each exporting OPERATION."""
