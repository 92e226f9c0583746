"""One file per publisher's distribution, each exporting DISTRIBUTION."""
