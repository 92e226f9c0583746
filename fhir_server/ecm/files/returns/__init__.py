"""A provider's return files: gathered, told, sent as versions, and taken in by a plan that is told by file."""
