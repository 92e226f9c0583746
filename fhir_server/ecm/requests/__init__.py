"""Requests for ECM and Community Supports from anybody, and the plan's steps with their clocks."""
