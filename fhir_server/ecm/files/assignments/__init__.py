"""A plan's assignment files: taken in, held, parked, resolved, recalled."""
