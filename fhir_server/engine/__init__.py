"""The one door: every resource enters and leaves through `engine.repository`."""
