"""Every knob, its default and its meaning, in one model."""

from penstock.config.settings import Configuration, Network

__all__ = ["Configuration", "Network"]
