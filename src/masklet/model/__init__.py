"""SAM 2 as torch modules: one file per box of the paper's figure. `config` needs no torch, the modules do.

Shapes: B images, N objects, M remembered frames, P points, R pointers, T tokens; D embedding width, C memory width;
S the side of the square input in pixels, h x w = S/16 x S/16 the grid of the embedding.
"""
