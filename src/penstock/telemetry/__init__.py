"""Metric names, logs, traces."""
