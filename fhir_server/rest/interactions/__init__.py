"""One file per interaction, each exporting INTERACTION (or several as INTERACTIONS)."""
