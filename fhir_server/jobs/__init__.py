"""Work that outlives its request: the job row is the truth, with its cursor and its lease."""
