"""The right: who may see and change which row, decided by one predicate in SQL and by its twin in plain Python."""
