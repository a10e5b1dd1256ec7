"""Maps of a catalogue: positions of the items on a plane, so that similar items are close."""

from __future__ import annotations

from item2vec.mapping.positions import layout

__all__ = ["layout"]
