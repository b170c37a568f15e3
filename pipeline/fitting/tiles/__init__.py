"""From batches to tiles: encoded rows, in tiles of one size whatever batches they come in."""
