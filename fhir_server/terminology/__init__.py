"""The codes: what a code system holds, what a value set contains, what a concept map leads to."""
